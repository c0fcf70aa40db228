"""Pages of wallets, adjustments and the ledger."""
