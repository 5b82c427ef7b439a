"""Rewrites of a captured graph, one a file, each ``apply(graph_module) -> int`` (places changed).

A rewrite keeps the function: in fp32 its output equals the captured graph's within rounding. It
works on operators, never on a model's name, so every family that has the pattern gets it.
"""
