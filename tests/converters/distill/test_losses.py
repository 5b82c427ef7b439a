"""Every loss against its formula, written out once more with loops over small tensors."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from edgekit.errors import InputRefused, SpecError
from edgekit_converters.distill import losses
from edgekit_converters.distill.losses import parse, require, term
from edgekit_converters.distill.outputs import Batch, Outputs, Shape

TEXTS, TOKENS, HEADS, ENTRIES = 3, 4, 2, 5
LENGTHS = (4, 3, 2)
STUDENT, TEACHER = Shape(2, 8, HEADS), Shape(4, 8, HEADS)


def mask() -> Tensor:
    return torch.tensor([[float(at < n) for at in range(TOKENS)] for n in LENGTHS])


def batch(labels: Tensor | None = None) -> Batch:
    ids = torch.zeros(TEXTS, TOKENS, dtype=torch.long)
    return Batch(ids, mask(), labels, torch.ones(TEXTS))


def made(shape: Shape, seed: int, width: int | None = None) -> Outputs:
    """Random outputs of every name that a model of this shape has."""
    draw = torch.Generator().manual_seed(seed)
    wide = width or shape.hidden

    def normal(*sizes: int) -> Tensor:
        return torch.randn(*sizes, generator=draw)

    named = {"embedding": normal(TEXTS, wide), "logits": normal(TEXTS, TOKENS, ENTRIES)}
    for layer in range(shape.layers + 1):
        named[f"hidden.{layer}"] = normal(TEXTS, TOKENS, wide)
    for layer in range(1, shape.layers + 1):
        for kind in ("queries", "keys", "values"):
            named[f"{kind}.{layer}"] = normal(TEXTS, TOKENS, wide)
        scores = normal(TEXTS, HEADS, TOKENS, TOKENS)
        hidden = mask()[:, None, None, :] == 0
        named[f"attention.{layer}"] = scores.masked_fill(hidden, -1e9).softmax(-1)
    return Outputs(mask(), named)


def computed(
    name: str,
    own: Outputs,
    other: Outputs,
    given: Batch | None = None,
    student: Shape = STUDENT,
    **settings: Any,
) -> float:
    """The product's value, given only what the loss says that it needs."""
    one = term(name, settings=settings)
    mine, theirs = one.module.needs(one.config, student, TEACHER)
    make = getattr(one.module, "parts", None)
    parts = None if make is None else make(one.config, student, TEACHER)
    return float(
        one.module.loss(
            Outputs(own.mask, {name: own.named[name] for name in mine}),
            Outputs(other.mask, {name: other.named[name] for name in theirs}),
            given or batch(),
            one.config,
            parts,
        )
    )


def kl(p: list[float], q: list[float]) -> float:
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True) if a > 0)


def softmax(values: Tensor, heat: float = 1.0) -> list[float]:
    top = [math.exp(float(v) / heat) for v in values]
    return [v / sum(top) for v in top]


def by_text(each: Any) -> float:
    """Mean over texts of the mean over real tokens of ``each(text, token)``."""
    return sum(sum(each(text, at) for at in range(n)) / n for text, n in enumerate(LENGTHS)) / len(
        LENGTHS
    )


OWN, OTHER = made(STUDENT, 1), made(TEACHER, 2)


def distributions(text: int, at: int, heat: float = 1.0) -> tuple[list[float], list[float]]:
    p = softmax(OTHER["logits"][text, at], heat)
    return p, softmax(OWN["logits"][text, at], heat)


def mixed(p: list[float], q: list[float], share: float) -> list[float]:
    return [share * a + (1 - share) * b for a, b in zip(p, q, strict=True)]


def test_logits_is_the_softened_kl_times_the_squared_temperature() -> None:
    expected = by_text(lambda t, at: 9 * kl(*distributions(t, at, 3.0)))
    assert computed("logits", OWN, OTHER, temperature=3.0) == pytest.approx(expected, rel=1e-5)


def test_forward_and_reverse_kl() -> None:
    forward = by_text(lambda t, at: kl(*distributions(t, at)))
    reverse = by_text(lambda t, at: kl(*reversed(distributions(t, at))))
    assert computed("forward_kl", OWN, OTHER) == pytest.approx(forward, rel=1e-5)
    assert computed("reverse_kl", OWN, OTHER) == pytest.approx(reverse, rel=1e-5)
    assert forward != pytest.approx(reverse, rel=0.01)


@pytest.mark.parametrize("alpha", [0.0, 0.1, 0.7])
def test_skew_kl(alpha: float) -> None:
    def each(text: int, at: int) -> float:
        p, q = distributions(text, at)
        return kl(p, mixed(p, q, alpha))

    assert computed("skew_kl", OWN, OTHER, alpha=alpha) == pytest.approx(by_text(each), rel=1e-5)


@pytest.mark.parametrize("name", ["jsd", "on_policy"])
@pytest.mark.parametrize("beta", [0.2, 0.5])
def test_generalized_jensen_shannon(name: str, beta: float) -> None:
    def each(text: int, at: int) -> float:
        p, q = distributions(text, at)
        mix = mixed(p, q, beta)
        return beta * kl(p, mix) + (1 - beta) * kl(q, mix)

    assert computed(name, OWN, OTHER, beta=beta) == pytest.approx(by_text(each), rel=1e-5)


LABELS = torch.tensor([[1, 0, 4, 2], [3, 3, 0, -100], [2, 2, -100, -100]])


def cross_entropy(text: int, at: int) -> float:
    return -math.log(softmax(OWN["logits"][text, at])[int(LABELS[text, at])])


@pytest.mark.parametrize("name", ["labels", "rationale"])
def test_labels_are_cross_entropy_over_labelled_tokens(name: str) -> None:
    expected = by_text(cross_entropy)
    assert computed(name, OWN, OTHER, batch(LABELS)) == pytest.approx(expected, rel=1e-5)


def test_weights_of_texts_scale_their_part() -> None:
    whole = batch(LABELS)
    weighted = Batch(whole.ids, whole.counted, LABELS, torch.tensor([2.0, 0.0, 1.0]))
    parts = [sum(cross_entropy(t, at) for at in range(n)) / n for t, n in enumerate(LENGTHS)]
    expected = (2 * parts[0] + parts[2]) / 3
    assert computed("rationale", OWN, OTHER, weighted) == pytest.approx(expected, rel=1e-5)


def cosine(a: Tensor, b: Tensor) -> float:
    x, y = a.tolist(), b.tolist()
    dot = sum(i * j for i, j in zip(x, y, strict=True))
    return dot / math.sqrt(sum(i * i for i in x) * sum(j * j for j in y))


def test_distilbert_is_the_sum_of_three() -> None:
    soft = by_text(lambda t, at: 4 * kl(*distributions(t, at, 2.0)))
    hard = by_text(cross_entropy)
    angle = by_text(lambda t, at: 1 - cosine(OWN["hidden.2"][t, at], OTHER["hidden.4"][t, at]))
    found = computed("distilbert", OWN, OTHER, batch(LABELS), soft=5.0, hard=2.0, cosine=0.5)
    assert found == pytest.approx(5 * soft + 2 * hard + 0.5 * angle, rel=1e-5)
    without = computed("distilbert", OWN, OTHER, soft=5.0, hard=2.0, cosine=0.5)
    assert without == pytest.approx(5 * soft + 0.5 * angle, rel=1e-5)


@pytest.mark.parametrize(("way", "follows"), [("skip", 2), ("last", 3)])
def test_pkd_compares_first_tokens_of_paired_layers(way: str, follows: int) -> None:
    total = 0.0
    for text in range(TEXTS):
        a, b = OWN["hidden.1"][text, 0], OTHER[f"hidden.{follows}"][text, 0]
        total += 2 - 2 * cosine(a, b)  # squared distance of unit vectors
    assert computed("pkd", OWN, OTHER, layers=way) == pytest.approx(total / TEXTS, rel=1e-5)


def squared(a: Tensor, b: Tensor) -> float:
    x, y = a.flatten().tolist(), b.flatten().tolist()
    return sum((i - j) ** 2 for i, j in zip(x, y, strict=True)) / len(x)


def test_tinybert_is_the_sum_over_layers_of_three_errors() -> None:
    expected = 3 * by_text(lambda t, at: squared(OWN["hidden.0"][t, at], OTHER["hidden.0"][t, at]))
    for own, other in ((1, 2), (2, 4)):
        one, two = OWN[f"hidden.{own}"], OTHER[f"hidden.{other}"]
        expected += 2 * by_text(lambda t, at, a=one, b=two: squared(a[t, at], b[t, at]))
        maps, follows = OWN[f"attention.{own}"], OTHER[f"attention.{other}"]
        for text, n in enumerate(LENGTHS):
            expected += squared(maps[text, :, :n, :n], follows[text, :, :n, :n]) / TEXTS
    found = computed("tinybert", OWN, OTHER, attention=1.0, hidden=2.0, embedding=3.0)
    assert found == pytest.approx(expected, rel=1e-5)


def test_tinybert_may_follow_named_layers_and_count_errors_as_shares() -> None:
    expected, real = 0.0, mask().bool()
    for own, other in ((0, 0), (2, 3)):  # the first layer follows none
        one, two = OWN[f"hidden.{own}"], OTHER[f"hidden.{other}"]
        apart = by_text(lambda t, at, a=one, b=two: squared(a[t, at], b[t, at]))
        expected += apart / float(two[real].var()) / 2
    settings: dict[str, Any] = {"attention": 0.0, "relative": True, "layers": [0, 3]}
    found = computed("tinybert", OWN, OTHER, **settings)
    assert found == pytest.approx(expected, rel=1e-5)
    scaled = Outputs(mask(), {name: 7 * values for name, values in OTHER.named.items()})
    same = computed("tinybert", scaled, scaled, **settings)
    assert same == pytest.approx(computed("tinybert", OTHER, OTHER, **settings), rel=1e-4)


def relation(values: Tensor, n: int, heads: int) -> list[list[list[float]]]:
    """Rows of softmax(V V^T / sqrt(d)) for each head over the first ``n`` tokens."""
    width = values.shape[-1] // heads
    found = []
    for head in range(heads):
        part = values[:n, head * width : (head + 1) * width]
        rows = []
        for i in range(n):
            dots = [float(part[i] @ part[j]) / math.sqrt(width) for j in range(n)]
            rows.append(softmax(torch.tensor(dots)))
        found.append(rows)
    return found


def relations_apart(own: Tensor, other: Tensor, heads: int) -> float:
    total = 0.0
    for text, n in enumerate(LENGTHS):
        p, q = relation(other[text], n, heads), relation(own[text], n, heads)
        each = [kl(p[h][i], q[h][i]) for h in range(heads) for i in range(n)]
        total += sum(each) / len(each)
    return total / TEXTS


@pytest.mark.parametrize("width", [8, 12])
def test_relations_are_free_of_width(width: int) -> None:
    own = made(Shape(2, width, 4), 5)
    expected = sum(
        relations_apart(own[f"{kind}.2"], OTHER[f"{kind}.3"], 4)
        for kind in ("queries", "keys", "values")
    )
    found = computed("relations", own, OTHER, student=Shape(2, width, 4), heads=4, layer=3)
    assert found == pytest.approx(expected / 3, rel=1e-4)


def test_minilm_is_attention_and_value_relations() -> None:
    attention = 0.0
    for text, n in enumerate(LENGTHS):
        p, q = OTHER["attention.4"][text], OWN["attention.2"][text]
        each = [
            kl(p[h, i, :n].tolist(), q[h, i, :n].tolist()) for h in range(HEADS) for i in range(n)
        ]
        attention += sum(each) / len(each) / TEXTS
    expected = attention + relations_apart(OWN["values.2"], OTHER["values.4"], HEADS)
    assert computed("minilm", OWN, OTHER) == pytest.approx(expected, rel=1e-4)


def test_vectors_cosine_mse_similarity() -> None:
    own, other = OWN["embedding"], OTHER["embedding"]
    angle = sum(1 - cosine(own[i], other[i]) for i in range(TEXTS)) / TEXTS
    assert computed("cosine", OWN, OTHER) == pytest.approx(angle, rel=1e-5)
    far = sum(float(((own[i] - other[i]) ** 2).sum() / (other[i] ** 2).sum()) for i in range(TEXTS))
    assert computed("mse", OWN, OTHER) == pytest.approx(far / TEXTS, rel=1e-5)
    pairs = [(i, j) for i in range(TEXTS) for j in range(TEXTS) if i != j]
    apart = [(cosine(own[i], own[j]) - cosine(other[i], other[j])) ** 2 for i, j in pairs]
    expected = sum(apart) / len(apart)
    assert computed("similarity", OWN, OTHER) == pytest.approx(expected, rel=1e-4)


def test_similarity_of_one_text_is_nothing() -> None:
    one = Outputs(mask()[:1], {"embedding": OWN["embedding"][:1]})
    assert computed("similarity", one, one) == 0.0


@pytest.mark.parametrize("name", [name for name in losses.names() if term(name).teacher])
def test_equal_models_lose_nothing(name: str) -> None:
    same = made(TEACHER, 2)
    assert computed(name, same, same, student=TEACHER) == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize(
    ("job", "word"),
    [
        (lambda: term("cosin"), "unknown loss"),
        (lambda: term("cosine", 0.0), "weight"),
        (lambda: term("logits", settings={"heat": 2.0}), "no setting"),
        (lambda: term("logits", settings={"temperature": "hot"}), "temperature"),
        (lambda: term("logits", settings={"temperature": -1.0}), "temperature"),
        (lambda: term("pkd", settings={"layers": "first"}), "skip or last"),
        (lambda: term("skew_kl", settings={"alpha": 1.0}), "alpha"),
        (lambda: term("jsd", settings={"beta": 0.0}), "beta"),
        (lambda: term("on_policy", settings={"share": 2.0}), "share"),
        (lambda: parse("cosine=much"), "weight"),
        (lambda: require(parse("cosine"), "classes"), "does not go"),
        (lambda: require(parse("relations"), "embedding", bridged=True), "token by token"),
        (lambda: computed("minilm", OWN, OTHER, student=Shape(2, 8, 4)), "heads"),
        (lambda: computed("tinybert", OWN, OTHER, student=Shape(2, 8, 4)), "heads"),
        (lambda: computed("tinybert", OWN, OTHER, layers=[1]), "for 2 layers"),
        (lambda: computed("tinybert", OWN, OTHER, layers=[1, 5]), "teacher with 4"),
        (lambda: term("tinybert", settings={"layers": [-1]}), "counted from 1"),
        (lambda: computed("relations", OWN, OTHER, heads=3), "do not divide"),
        (lambda: computed("relations", OWN, OTHER, layer=9), "no layer 9"),
    ],
)
def test_what_cannot_be_computed_is_refused(job: Any, word: str) -> None:
    with pytest.raises(SpecError, match=word) as caught:
        job()
    assert caught.value.hint


def test_labels_without_labels_are_refused() -> None:
    with pytest.raises(InputRefused, match="needs labels"):
        computed("labels", OWN, OTHER)


def test_a_list_of_losses_is_read_with_weights() -> None:
    found = parse("relations, similarity=0.5")
    assert [(one.name, one.weight) for one in found] == [("relations", 1.0), ("similarity", 0.5)]
    assert set(losses.summaries()) == set(losses.names())
