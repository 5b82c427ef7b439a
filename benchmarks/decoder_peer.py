"""One answer of a decoder in a process of its own; ``benchmarks.decoder`` starts it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.answering import Feed, tell
from edgekit.bundle.manifest import Signature
from edgekit.runtime import Session


def main() -> None:
    """Answer twice and print the second."""
    kind, folder, layers, threads, tokens, ids, clock = sys.argv[1:8]
    opened = {
        "library": _library,
        "extension": _extension,
        "onnx": _onnx,
        "torch": _torch,
    }[kind]
    feed = opened(Path(folder), int(layers), int(threads))
    tell(feed, [int(word) for word in ids.split(",")], int(tokens), clock)


def _library(folder: Path, layers: int, threads: int) -> Feed:
    from edgekit.runtime import executorch_native

    return _fed(executorch_native.open_session(*_program(folder), threads=threads))


def _extension(folder: Path, layers: int, threads: int) -> Feed:
    from edgekit.runtime.executorch import open_by_extension
    from edgekit.runtime.generation.executorch import load_operators

    load_operators()
    from executorch.extension.pybindings.portable_lib import _unsafe_reset_threadpool

    _unsafe_reset_threadpool(threads)
    return _fed(open_by_extension(*_program(folder)))


def _onnx(folder: Path, layers: int, threads: int) -> Feed:
    from benchmarks.decoder_model import ONNX_SIGNATURE
    from edgekit.runtime.generation.onnx import open_steps

    text = (folder / ONNX_SIGNATURE).read_bytes()
    signature = Signature.model_validate_json(text)
    steps = open_steps(folder / "model.onnx", signature, threads=threads)
    return lambda ids, position: int(steps.feed(ids, position).argmax())


def _program(folder: Path) -> tuple[Path, Signature]:
    text = (folder / "signature.json").read_bytes()
    return folder / "model.pte", Signature.model_validate_json(text)


def _fed(session: Session) -> Feed:
    def feed(ids: list[int], position: int) -> int:
        given = {"input_ids": np.array([ids]), "position": np.array([position])}
        return int(session.run(given)["logits"].argmax())

    return feed


def _torch(folder: Path, layers: int, threads: int) -> Feed:
    import torch
    from transformers import StaticCache

    from benchmarks.decoder_model import eager

    torch.set_num_threads(threads)
    model: Any = eager(layers)
    context = _program(folder)[1].inputs[0].dims[1].maximum
    cache = StaticCache(config=model.config, max_cache_len=context)

    def feed(ids: list[int], position: int) -> int:
        places = torch.arange(position, position + len(ids))
        with torch.inference_mode():
            if position == 0:
                cache.reset()
            found = model(
                input_ids=torch.tensor([ids]),
                position_ids=places[None],
                cache_position=places,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
        return int(found.logits[0, -1].argmax())

    return feed


if __name__ == "__main__":
    main()
