"""Delegates, one a file: what hands parts of a graph to faster kernels, and for which runtime."""
