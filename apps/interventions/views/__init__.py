"""Pages of this domain, by noun."""
