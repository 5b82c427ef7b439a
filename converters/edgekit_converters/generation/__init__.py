"""Decoders: capture with a key/value cache, lowering to each runtime, and parity token by token."""
