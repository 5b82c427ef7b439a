"""Scaling: factors between an activation and the weights that read it. One method a file.

Each has ``factors(weights, moments, bits, group) -> (columns,)``: the activation is multiplied by
``1 / factors`` and every weight's columns by ``factors``, which changes nothing before rounding.
"""
