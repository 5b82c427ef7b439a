"""Floors: what an artifact's outputs must hold against the eager model, by scheme. The one table.

Cosines are over one sample's compared rows, flattened. ``same_artifact`` bounds how far the same
file may drift on another processor, whose kernels round in another order.
"""

from __future__ import annotations

from edgekit.bundle.manifest import TokenFloor, Tolerance

FLOORS = {
    "fp32": Tolerance(worst_cosine=0.99999, mean_cosine=0.99999, same_artifact=0.99999),
    "int8": Tolerance(worst_cosine=0.98, mean_cosine=0.995, same_artifact=0.995),
    "int8-static": Tolerance(worst_cosine=0.95, mean_cosine=0.98, same_artifact=0.99),
    "int8-int4": Tolerance(worst_cosine=0.97, mean_cosine=0.99, same_artifact=0.995),
    "int4-int8": Tolerance(worst_cosine=0.90, mean_cosine=0.96, same_artifact=0.99),
    "int4": Tolerance(worst_cosine=0.88, mean_cosine=0.95, same_artifact=0.99),
    "mixed": Tolerance(worst_cosine=0.95, mean_cosine=0.98, same_artifact=0.99),
}

# The same for models that continue a text, over rows of logits, and what their tokens must hold.
DECODER_FLOORS = {
    "fp32": Tolerance(
        worst_cosine=0.99999,
        mean_cosine=0.99999,
        same_artifact=0.99999,
        tokens=TokenFloor(max_difference=1e-4, divergence=1e-6, agreement=0.995, greedy=1.0),
    ),
    "int8": Tolerance(
        worst_cosine=0.98,
        mean_cosine=0.99,
        same_artifact=0.99,
        tokens=TokenFloor(divergence=0.05, agreement=0.9, perplexity_ratio=1.05),
    ),
    "int8-int4": Tolerance(
        worst_cosine=0.95,
        mean_cosine=0.98,
        same_artifact=0.99,
        tokens=TokenFloor(divergence=0.1, agreement=0.85, perplexity_ratio=1.1),
    ),
    "int4-int8": Tolerance(
        worst_cosine=0.9,
        mean_cosine=0.96,
        same_artifact=0.98,
        tokens=TokenFloor(divergence=0.2, agreement=0.8, perplexity_ratio=1.25),
    ),
    "int4": Tolerance(
        worst_cosine=0.88,
        mean_cosine=0.95,
        same_artifact=0.98,
        tokens=TokenFloor(divergence=0.25, agreement=0.75, perplexity_ratio=1.3),
    ),
    "mixed": Tolerance(
        worst_cosine=0.9,
        mean_cosine=0.96,
        same_artifact=0.98,
        tokens=TokenFloor(divergence=0.2, agreement=0.8, perplexity_ratio=1.25),
    ),
}
