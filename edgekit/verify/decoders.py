"""Goldens of a decoder: texts with the logits that follow their tokens, the likeliest of them.

A golden's ``input_ids`` are a text, its rows belong to the last tokens: the first row follows the
prompt, which is read in one pass, the others one token each. ``columns`` are the ids that a row
keeps, the eager model's likeliest first: a whole vocabulary for each token would be larger than
the model. An encoder-decoder's golden has the text that is answered besides, ``text_ids``, and its
``input_ids`` are the answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.bundle.goldens import Golden
from edgekit.bundle.manifest import ArtifactInfo, HopQuality, Manifest, Signature
from edgekit.errors import BundleCorrupt, Unsupported
from edgekit.parity import measure
from edgekit.runtime import arm64 as emulated
from edgekit.runtime.generation.replay import Passage
from edgekit.runtime.generation.replay import replay as read_texts
from edgekit.runtime.generation.seq2seq_signature import answers_texts
from edgekit.tasks import task
from edgekit.verify.tokens import judged

IDS, COLUMNS, TEXT_IDS = "input_ids", "columns", "text_ids"
# Of 256 the last is usually less likely than one in a million.
MOST_COLUMNS = 256

Floats = NDArray[np.float32]


def golden(
    text: str,
    ids: Sequence[int],
    reference: NDArray[Any],
    expected: Mapping[str, Floats],
    text_ids: Sequence[int] = (),
) -> Golden:
    """Keep of a text's logits what a golden keeps.

    Args:
        text: what a person would read.
        ids: the whole text.
        reference: the eager model's logits, ``(rows, vocabulary)``.
        expected: each artifact's.
        text_ids: the text that is answered, for an encoder-decoder.
    """
    count = min(MOST_COLUMNS, reference.shape[1])
    columns = np.argsort(-reference, axis=1, kind="stable")[:, :count].astype(np.int64)
    return Golden(
        text=text,
        inputs={
            IDS: np.array([ids], dtype=np.int64),
            COLUMNS: columns,
            **({TEXT_IDS: np.array([text_ids], dtype=np.int64)} if len(text_ids) else {}),
        },
        reference=_kept(reference, columns),
        expected={runtime: _kept(rows, columns) for runtime, rows in expected.items()},
    )


def passage(of: Golden) -> Passage:
    """How a golden's text is read."""
    ids = tuple(of.inputs[IDS][0].tolist())
    text = tuple(of.inputs[TEXT_IDS][0].tolist()) if TEXT_IDS in of.inputs else ()
    return Passage(ids, len(ids) - len(of.reference) + 1, text=text)


def refuse_malformed(manifest: Manifest, goldens: Sequence[Golden]) -> None:
    """Goldens that no decoder could have given prove nothing.

    Raises:
        BundleCorrupt: ids or columns beyond the vocabulary, a text beyond the context, or rows that
            do not fit.
    """
    generation, file = manifest.generation, manifest.goldens.file
    assert generation is not None
    vocabulary = manifest.signature.outputs[0].dims[-1].maximum
    wanted = {IDS, COLUMNS} if generation.answers is None else {IDS, COLUMNS, TEXT_IDS}
    for number, one in enumerate(goldens):
        ids, columns = one.inputs.get(IDS), one.inputs.get(COLUMNS)
        if one.inputs.keys() != wanted or ids is None or columns is None:
            raise BundleCorrupt(f"{file}: golden {number} is not one of a decoder")
        found: list[NDArray[Any]] = [columns, one.reference, *one.expected.values()]
        shapes = {rows.shape for rows in found}
        sound = ids.ndim == 2 and ids.shape[0] == 1 and len(shapes) == 1 and columns.ndim == 2
        sound = sound and 1 <= len(columns) <= ids.shape[1] <= generation.context
        sound = sound and columns.size > 0
        text = one.inputs.get(TEXT_IDS, ids)
        if generation.answers is not None:
            sound = sound and text.ndim == 2 and len(text) == 1
            sound = sound and 1 <= text.shape[1] <= generation.answers.source
        for values in (ids, columns, text):
            sound = sound and bool(((values >= 0) & (values < vocabulary)).all())
        if not sound:
            raise BundleCorrupt(f"{file}: golden {number} does not fit its model")


def here(
    path: Path, artifact: ArtifactInfo, signature: Signature, goldens: Sequence[Golden]
) -> Any:
    """An artifact's logits for each golden, from its runtime on this machine."""
    found = read_texts(artifact.runtime, path, signature, [passage(one) for one in goldens])
    return [_kept(one.rows, of.inputs[COLUMNS]) for one, of in zip(found, goldens, strict=True)]


def emulated_arm64(
    path: Path, artifact: ArtifactInfo, signature: Signature, goldens: Sequence[Golden], cpu: str
) -> list[Floats]:
    """The same from the arm64 runner under emulation.

    Raises:
        Unsupported: it answers a text, which the runner does not read.
    """
    if answers_texts(signature):
        raise Unsupported(
            f"the arm64 runner reads no text for {artifact.file} to answer",
            hint="Leave --arm64 out: encoder-decoders are replayed on this machine.",
        )
    found = emulated.read(
        path,
        [passage(one) for one in goldens],
        context=signature.inputs[0].dims[1].maximum,
        vocabulary=signature.outputs[0].dims[-1].maximum,
        cpu=cpu,
        runtime=artifact.runtime,
    )
    return [_kept(rows, of.inputs[COLUMNS]) for rows, of in zip(found, goldens, strict=True)]


def measured(
    hop: str,
    artifact: ArtifactInfo,
    manifest: Manifest,
    goldens: Sequence[Golden],
    rows: Sequence[Floats],
) -> HopQuality:
    """One hop: an artifact's logits for the goldens, held against the manifest's tolerances."""
    tolerance = manifest.goldens.tolerances[artifact.runtime]
    wanted = [one.reference for one in goldens]
    found = measure(
        hop,
        artifact.file,
        task(manifest.task),
        [one.text for one in goldens],
        wanted,
        rows,
        tolerance,
        [one.expected[artifact.runtime] for one in goldens],
    )
    unknown = [[-1] * len(one.reference) for one in goldens]
    return judged(found, wanted, rows, unknown, tolerance.tokens)


def _kept(rows: NDArray[Any], columns: NDArray[np.int64]) -> Floats:
    return np.take_along_axis(rows, columns, axis=1).astype(np.float32)
