"""``edgekit.json``: what a bundle is, as typed data. The schema in ``docs/`` comes from here.

Nothing in a manifest depends on when or where it was made: the same inputs give the same bytes.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = 1
MANIFEST_NAME = "edgekit.json"

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Part(BaseModel):
    """Frozen, closed, finite: the rules that all parts of a manifest share."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Dim(_Part):
    """One dimension of a tensor: fixed when ``minimum == maximum``."""

    name: str
    minimum: int = Field(ge=1)
    maximum: int = Field(ge=1)


class TensorSpec(_Part):
    """Name, dtype (numpy's name) and shape of one input or output."""

    name: str
    dtype: Literal["int64", "float32"]
    dims: tuple[Dim, ...]


class Signature(_Part):
    """Inputs and outputs of every artifact in the bundle, in call order."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


class BaseModelRef(_Part):
    """The model that the bundle was made from."""

    id: str
    source: Literal["folder", "hub", "embedded"]
    revision: str | None = None
    weights_sha256: Sha256


class Limits(_Part):
    """Bounds that a caller must respect."""

    min_length: int
    max_length: int
    vocabulary: int


class Delegation(_Part):
    """How much of the graph a delegate took.

    ``left`` counts the operators that stayed outside, ``reasons`` says why, in words.
    """

    calls: int
    nodes: int
    share: float = Field(ge=0, le=1)
    left: dict[str, int]
    reasons: dict[str, str] = Field(default_factory=dict)


class QuantizedGroup(_Part):
    """A kind of tensor that one scheme was applied to; ``reason`` says why one was left alone."""

    kind: str
    scheme: str
    tensors: int
    bytes_before: int
    bytes_after: int
    reason: str = ""


class ArtifactInfo(_Part):
    """One runnable file and what it needs.

    ``fp32_bytes`` is the size of the same graph's weights in fp32, the base of every percentage.
    ``planned_memory`` is the bytes of activation arena planned ahead (None: the runtime allocates
    as it goes).
    """

    runtime: str
    file: str
    bytes: int
    fp32_bytes: int
    delegate: str
    scheme: str
    quantization: tuple[QuantizedGroup, ...]
    methods: tuple[str, ...]
    operators: tuple[str, ...]
    backends: tuple[str, ...]
    planned_memory: int | None = None
    delegation: Delegation | None = None


class TokenizerInfo(_Part):
    """Which tokenizer the bundle carries and whether the on-device encoder can run it."""

    kind: str
    file: str = "tokenizer.json"
    pad_token_id: int | None = None
    mask_token_id: int | None = None
    on_device: bool
    on_device_reason: str = ""


class Tolerance(_Part):
    """What a replay of the goldens must hold.

    ``worst_cosine`` and ``mean_cosine`` are the scheme's floors against the eager model;
    ``same_artifact`` is the worst cosine allowed against this artifact's own output on the machine
    that made it (kernels of another processor may round differently).
    """

    worst_cosine: float
    mean_cosine: float
    same_artifact: float


class Goldens(_Part):
    """Real inputs with expected outputs, to be replayed anywhere."""

    file: str = "goldens.safetensors"
    count: int
    tolerances: dict[str, Tolerance]


class HopQuality(_Part):
    """One rung of the parity ladder, measured against the eager model.

    ``snr_db`` is None when the outputs are identical. ``agreement`` is the share of samples with
    the same task answer (``agreement_kind`` says which). ``same_artifact`` is the worst cosine
    against the output that this artifact gave on the machine that made it.
    """

    hop: str
    artifact: str
    samples: int
    worst_cosine: float
    mean_cosine: float
    snr_db: float | None
    agreement: float
    agreement_kind: str
    worst_sample: str
    floor_worst: float | None = None
    floor_mean: float | None = None
    same_artifact: float | None = None
    passed: bool = True


class FileEntry(_Part):
    """One file of the bundle."""

    path: str
    bytes: int = Field(ge=0)
    sha256: Sha256


class Manifest(_Part):
    """The whole of ``edgekit.json``.

    ``certified`` is false when a floor was missed and kept. ``seal`` is the SHA-256 of the file's
    own canonical bytes without the ``seal`` key: no entry in ``files`` can cover the manifest.
    """

    schema_version: int
    name: str
    task: str
    target: str
    family: str
    certified: bool
    licence: str | None
    labels: tuple[str, ...] | None
    problem: str | None = None
    base_model: BaseModelRef
    signature: Signature
    limits: Limits
    artifacts: tuple[ArtifactInfo, ...]
    tokenizer: TokenizerInfo
    goldens: Goldens
    quality: tuple[HopQuality, ...]
    provenance: tuple[dict[str, Any], ...]
    toolchain: dict[str, str]
    files: tuple[FileEntry, ...]
    seal: Sha256 | None = None
