"""Rounding: a weight becomes integers. One method a file, each ``fit(...) -> Grid``."""
