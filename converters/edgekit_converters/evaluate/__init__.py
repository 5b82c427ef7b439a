"""Quality: the parity ladder."""
