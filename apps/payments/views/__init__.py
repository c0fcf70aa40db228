"""Pages of payment events and of the quarantine."""
