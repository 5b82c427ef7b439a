"""Quantization, one method a file. Methods work on captured graphs or on the artifact's own graph.

The arithmetic is the same for both runtimes: weights symmetric int8 with one scale for each output
channel, activations int8 with one scale for each token computed at run time, embedding tables int8
with one scale for each row.
"""
