"""Dynamic int8 linears for XNNPACK: weights per output channel, activations per token at run time.

The PyTorch 2 Export flow (``prepare_pt2e`` / ``convert_pt2e``) with XNNPACK's own quantizer, so
that the graph carries exactly the pattern its partitioner looks for.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.fx import GraphModule


def apply(graph_module: GraphModule, example: tuple[Tensor, ...]) -> GraphModule:
    """A copy of the graph whose constant-weight linears are int8.

    Args:
        graph_module: captured graph, float32.
        example: one real input; dynamic quantization needs no more.
    """
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    config = get_symmetric_quantization_config(is_per_channel=True, is_dynamic=True)
    quantizer = XNNPACKQuantizer().set_global(config)
    # Its preparation turns every scalar into a float tensor, and with that integer arithmetic on
    # position ids into floats that no table can be read with. Linears need none of it.
    quantizer.transform_for_annotation = lambda model: model
    prepared = prepare_pt2e(graph_module, quantizer)
    with torch.no_grad():
        prepared(*example)
    converted: GraphModule = convert_pt2e(prepared)
    return converted
