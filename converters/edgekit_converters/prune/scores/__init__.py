"""Importance of weights or units; one criterion a file, its paper in the docstring."""
