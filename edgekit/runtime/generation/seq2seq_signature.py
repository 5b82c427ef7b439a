"""What reads a text, told from what answers it: both files of an encoder-decoder fit each other."""

from __future__ import annotations

from edgekit.bundle.manifest import Signature, TensorSpec

PAST, PRESENT = "past_key_values.", "present."
_OF_TEXT = (".encoder.key", ".encoder.value")


def answers_texts(decode: Signature) -> bool:
    """Whether a decoder's signature is that of an encoder-decoder."""
    return any(spec.name.endswith(_OF_TEXT) for spec in decode.inputs)


def encode_signature(decode: Signature) -> Signature:
    """Inputs and outputs of the encoder that belongs to a decoder.

    Args:
        decode: inputs ``past_key_values.N.encoder.key`` and ``.value`` among others, each
            ``(1, heads, source, head_dim)``.

    Returns:
        ``input_ids (1, source)`` to ``present.N.encoder.key`` and ``.value``, in the same order.
    """
    cross = [spec for spec in decode.inputs if spec.name.endswith(_OF_TEXT)]
    batch, _, source, _ = cross[0].dims
    return Signature(
        inputs=(TensorSpec(name="input_ids", dtype="int64", dims=(batch, source)),),
        outputs=tuple(
            spec.model_copy(update={"name": PRESENT + spec.name.removeprefix(PAST)})
            for spec in cross
        ),
    )
