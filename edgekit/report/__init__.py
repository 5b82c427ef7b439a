"""One self-contained page of what was found: scores, trade-offs, parity, ledger, environment."""
