"""Measurements: run by hand, printed as Markdown with their conditions. Never timed tests."""
