"""A decoder bundle with Python's own answers beside it, for the Kotlin tests to repeat."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from edgekit import Bundle, export
from tests.support.decoders import decoder

PROMPTS = ("what is 7 + 5?", "turn on the lamp in the kitchen.", "Wie geht es dir? 😀", "a")
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ '[' + message['role'] + '] ' + "
    "message['content'] + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '[assistant]' }}"
    "{% endif %}"
)
_MOST = 40
_ENDLESS = 100_000  # the context's end comes first


def bundle(folder: Path) -> Path:
    """A decoder with random weights, which answer something, and a chat template."""
    model = decoder(folder / "model", "llama", template=TEMPLATE)
    return export(model, out=folder / "bundle", quantize="none", runtimes=["onnx"]).path


def write(folder: Path, bundle: Path) -> None:
    """The bundle, and greedy answers to plain prompts and to messages of a chat."""
    folder.mkdir(parents=True)
    shutil.copytree(bundle, folder / "bundle")
    with Bundle.open(bundle) as opened:
        answers = [_answered(opened, prompt, chat) for prompt in PROMPTS for chat in (False, True)]
        answers.append(_answered(opened, PROMPTS[0], False, most=_ENDLESS))
    (folder / "expected.json").write_text(json.dumps({"answers": answers}), encoding="utf-8")


def _answered(bundle: Bundle, prompt: str, chat: bool, most: int = _MOST) -> dict[str, Any]:
    reply = bundle.generate(prompt, raw=not chat, runtime="onnx", temperature=0.0, max_tokens=most)
    text = reply.whole()
    statistics = reply.statistics
    assert statistics is not None
    return {
        "prompt": prompt,
        "chat": chat,
        "most": most,
        "text": text,
        "tokens": statistics.answer_tokens,
        "ended_by": statistics.ended_by,
    }
