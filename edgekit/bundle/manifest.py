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


def _absent(default: Any = None) -> Any:
    """A field that newer manifests may have, and that is not written where there is nothing."""
    return Field(default=default, exclude_if=lambda value: value is None)


class Dim(_Part):
    """One dimension of a tensor: fixed when ``minimum == maximum``."""

    name: str
    minimum: int = Field(ge=0)
    maximum: int = Field(ge=1)


class TensorSpec(_Part):
    """Name, dtype (numpy's name) and shape of one input or output."""

    name: str
    dtype: Literal["int64", "float32"]
    dims: tuple[Dim, ...]


class Signature(_Part):
    """Inputs and outputs of an artifact, in call order."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    @property
    def texts(self) -> int:
        """How many texts one pass takes; 1 for an artifact without a batch."""
        return self.inputs[0].dims[0].maximum


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
    as it goes). ``shared_bytes`` are those that two parts of the file use and that it holds once: a
    delegate has a copy of its own in memory. ``signature`` is its own where artifacts differ; ask
    ``Manifest.signature_of``.
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
    shared_bytes: int | None = _absent()
    delegation: Delegation | None = None
    signature: Signature | None = _absent()


class TokenizerInfo(_Part):
    """Which tokenizer the bundle carries and whether the on-device encoder can run it."""

    kind: str
    file: str = "tokenizer.json"
    pad_token_id: int | None = None
    mask_token_id: int | None = None
    on_device: bool
    on_device_reason: str = ""

    @property
    def filler(self) -> int:
        """The id that fills up shorter texts; a mask hides it where there is no padding token."""
        return self.pad_token_id or 0


class TokenFloor(_Part):
    """What a decoder's next tokens must hold against the eager model's; None asks for nothing.

    ``max_difference`` is the largest difference of a logit, in units of the reference logits' root
    mean square where that is above 1. ``divergence`` is the mean of KL(eager || artifact) in nats a
    token, ``agreement`` the share of tokens with the same first choice, ``greedy`` the share of a
    greedy answer up to the first other token.
    """

    max_difference: float | None = None
    divergence: float | None = None
    agreement: float | None = None
    perplexity_ratio: float | None = None
    greedy: float | None = None


class Tolerance(_Part):
    """What a replay of the goldens must hold.

    ``worst_cosine`` and ``mean_cosine`` are the scheme's floors against the eager model;
    ``same_artifact`` is the worst cosine allowed against this artifact's own output on the machine
    that made it (kernels of another processor may round differently).
    """

    worst_cosine: float
    mean_cosine: float
    same_artifact: float
    tokens: TokenFloor | None = _absent()


class Goldens(_Part):
    """Real inputs with expected outputs, to be replayed anywhere."""

    file: str = "goldens.safetensors"
    count: int
    tolerances: dict[str, Tolerance]


class TokenQuality(_Part):
    """A decoder's next tokens, both models reading the same text, token by token.

    ``count`` is the rows of logits that were compared; the other fields are as in ``TokenFloor``.
    ``perplexity_ratio`` is how much more the artifact is surprised by the text than the eager model
    (None where too little of the distribution is known), ``greedy`` None where nothing was asked.
    """

    count: int
    max_difference: float
    divergence: float
    worst_divergence: float
    perplexity_ratio: float | None = None
    greedy: float | None = None


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
    tokens: TokenQuality | None = _absent()


class SamplingDefaults(_Part):
    """How the model's makers sample from it; ``temperature`` 0 takes the likeliest token."""

    temperature: float = Field(default=0.0, ge=0, le=100)
    top_k: int = Field(default=0, ge=0)
    top_p: float = Field(default=1.0, ge=1e-6, le=1)
    repetition_penalty: float = Field(default=1.0, ge=0.01, le=100)
    max_new_tokens: int = Field(default=256, ge=1)


class Cache(_Part):
    """Keys and values of the tokens read so far.

    ``kind`` is the dtype that they are kept in. ``bytes_per_token`` is what one more token takes,
    ``bytes`` what a full context does.
    """

    kind: Literal["float32"] = "float32"
    layers: int = Field(ge=1)
    bytes_per_token: int = Field(ge=1)
    bytes: int = Field(ge=1)


class Search(_Part):
    """How a model's makers look for the likeliest answer; one beam takes the likeliest token."""

    beams: int = Field(default=1, ge=1)
    length_penalty: float = 1.0
    early_stopping: bool | Literal["never"] = False


class Answers(_Part):
    """How an encoder-decoder answers a text of at most ``source`` tokens.

    Every answer begins with ``start``, which is no part of it. ``first`` and ``last`` are ids that
    it must begin with, and end with where it is as long as can be; ``suppressed`` ids are never
    given, ``suppressed_first`` not as the first, ``banned`` sequences never. ``no_repeat`` is the
    length of runs that come once at most (0: no such rule), ``least`` the tokens before an answer
    may end, those of ``start`` included.
    """

    source: int = Field(ge=1)
    start: tuple[int, ...]
    first: int | None = None
    last: int | None = None
    suppressed: tuple[int, ...] = ()
    suppressed_first: tuple[int, ...] = ()
    banned: tuple[tuple[int, ...], ...] = ()
    no_repeat: int = Field(default=0, ge=0)
    least: int = Field(default=0, ge=0)
    search: Search = Search()


class Generation(_Part):
    """What a host needs to continue a text: one token a pass, the cache kept between passes.

    ``context`` is the most tokens in all, prompt and answer. Any of ``eos_token_ids`` ends an
    answer. ``special_tokens`` are texts by the names that ``chat_template`` (Jinja) knows them by,
    such as ``bos_token``. ``answers`` is there for encoder-decoders: ``context`` is then the most
    tokens of an answer, those that it begins with included.
    """

    context: int = Field(ge=2)
    bos_token_id: int | None = None
    eos_token_ids: tuple[int, ...] = ()
    sampling: SamplingDefaults = SamplingDefaults()
    chat_template: str | None = None
    special_tokens: dict[str, str] = Field(default_factory=dict)
    cache: Cache
    answers: Answers | None = _absent()


class FileEntry(_Part):
    """One file of the bundle."""

    path: str
    bytes: int = Field(ge=0)
    sha256: Sha256


class Manifest(_Part):
    """The whole of ``edgekit.json``.

    ``certified`` is false when a floor was missed and kept. ``generation`` is there for models that
    continue a text. ``seal`` is the SHA-256 of the file's own canonical bytes without the ``seal``
    key: no entry in ``files`` can cover the manifest.
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
    generation: Generation | None = _absent()
    seal: Sha256 | None = None

    def signature_of(self, artifact: ArtifactInfo) -> Signature:
        """Inputs and outputs of one artifact: its own, or the bundle's."""
        return artifact.signature or self.signature
