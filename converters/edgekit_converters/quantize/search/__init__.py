"""Bits for each part of a model under a budget: what a choice loses, what it costs, which to take.

``sensitivity`` measures what changing one group of tensors alone does to the outputs; ``cost``
measures its milliseconds; ``allocate`` picks one choice for every group by an integer program;
``frontier`` shows what every size buys. ``calibrated`` is how a group comes to a choice's weights.
"""
