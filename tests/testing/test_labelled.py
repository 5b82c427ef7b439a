"""Labelled files: what is read, what is refused and where, and intervals that mean something."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from edgekit.bundle.manifest import Manifest
from edgekit.bundle.read import load_manifest
from edgekit.errors import InputMissing, InputRefused, SpecError, TextRefused
from edgekit.testing import labelled, plan
from edgekit.testing.labelled import Example, score, wilson
from tests.support.models import LABELS
from tests.support.refusals import refused


@pytest.fixture
def classifier(tiny_bundles: dict[str, Path]) -> Manifest:
    return load_manifest(tiny_bundles["text-classification"])


def test_csv_and_jsonl_say_the_same(classifier: Manifest, tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    table.write_text('label,note,text\npositive,x,"good, \n""really"""\n2,y,fine\n', "utf-8-sig")
    lines = tmp_path / "a.jsonl"
    rows = [{"text": 'good, \n"really"', "label": "positive"}, {"text": "fine", "label": 2}]
    lines.write_text("\n\n".join(map(json.dumps, rows)) + "\n", "utf-8")
    wanted = [('good, \n"really"', 2), ("fine", 2)]
    for path in (table, lines):
        assert [(e.text, e.label) for e in labelled.read(path, classifier)] == wanted
    assert [e.line for e in labelled.read(lines, classifier)] == [1, 3]


def test_a_label_that_is_a_number_is_a_name_first(classifier: Manifest, tmp_path: Path) -> None:
    named = classifier.model_copy(update={"labels": ("1", "0")})
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "x", "label": "0"}\n{"text": "x", "label": 0}\n', "utf-8")
    assert [e.label for e in labelled.read(path, named)] == [1, 0]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", "text;label\nx;positive\n", "text is missing"),
        ("a.csv", "text,label\n", "no examples"),
        ("a.csv", "", "no examples"),
        ("a.csv", "text,label\nfine\n", "line 2: 2 columns are named"),
        ("a.csv", "text,label\n   ,positive\n", "line 2): text is str"),
        ("a.csv", 'text,label\n"open,positive\n', "not a table"),
        ("a.csv", "text,label\nx,3\n", "label is str '3'"),
        ("a.csv", "text,label\nx,-1\n", "label is str '-1'"),
        ("a.jsonl", "[]\n", "line 1: not a JSON object"),
        ("a.jsonl", '{"text": "x", "label": true}\n', "line 1): label is bool 'True'"),
        ("a.jsonl", '\n{"text": 3, "label": 0}\n', "line 2): text is int"),
        ("a.jsonl", "{" * 100_000, "line 1: not a JSON object"),
        ("a.jsonl", '{"text": "' + "x" * 1_100_000 + '", "label": 0}', "million characters"),
    ],
)
def test_what_is_refused(
    classifier: Manifest, tmp_path: Path, name: str, content: str, said: str
) -> None:
    path = tmp_path / name
    path.write_text(content, "utf-8")
    refused(InputRefused, 65, said, lambda: labelled.read(path, classifier))


def test_other_refusals(
    classifier: Manifest, tiny_bundles: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    refused(InputMissing, 66, "no such file", lambda: labelled.read(path, classifier))
    refused(
        SpecError, 64, "none of .jsonl, .csv", lambda: labelled.read(tmp_path / "a.xls", classifier)
    )
    path.write_bytes(b"text,label\n\xff\xfe,positive\n")
    refused(InputRefused, 65, "not UTF-8", lambda: labelled.read(path, classifier))
    refused(InputRefused, 65, "cannot read", lambda: labelled.read(_folder(tmp_path), classifier))
    other = load_manifest(tiny_bundles["fill-mask"])
    refused(SpecError, 64, "this bundle is for fill-mask", lambda: labelled.read(path, other))
    many = classifier.model_copy(update={"problem": "multi_label_classification"})
    refused(SpecError, 64, "multi_label", lambda: labelled.read(path, many))


def _folder(parent: Path) -> Path:
    (parent / "b.csv").mkdir()
    return parent / "b.csv"


def test_too_many_examples(
    classifier: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labelled, "MOST_EXAMPLES", 3)
    path = tmp_path / "a.csv"
    path.write_text("text,label\n" + "x,0\n" * 3, "utf-8")
    assert len(labelled.read(path, classifier)) == 3
    path.write_text("text,label\n" + "x,0\n" * 4, "utf-8")
    refused(InputRefused, 65, "more than 3 examples", lambda: labelled.read(path, classifier))


def test_a_text_that_does_not_fit_is_named_by_its_line(
    tiny_bundles: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label\nfine,0\n" + "word " * 500 + ",1\n", "utf-8")
    bundle = tiny_bundles["text-classification"]
    refused(TextRefused, 65, "a.csv, line 3: the text has", lambda: plan.prepare(bundle, data=path))
    path.write_text("text,label\nfine,0\n", "utf-8")
    assert plan.prepare(bundle, data=path).examples == (Example("fine", 0, 2),)


def test_wilson_against_values_worked_out_by_hand() -> None:
    # z = 1.959964: centre (p + z^2 / 2n) / (1 + z^2 / n), and the half width beside it.
    half = wilson(5, 10)
    assert (half.value, round(half.low, 4), round(half.high, 4)) == (0.5, 0.2366, 0.7634)
    nearly = wilson(98, 100)
    assert (round(nearly.low, 4), round(nearly.high, 4)) == (0.9300, 0.9945)
    assert wilson(0, 7).low == 0.0
    assert wilson(7, 7).high == 1.0
    assert wilson(7, 7).low == pytest.approx(7 / (7 + 1.959964**2))


def test_wilson_covers_the_truth_as_often_as_it_says() -> None:
    draw = np.random.default_rng(1)
    for truth in (0.6, 0.9):
        shares = [wilson(int(k), 200) for k in draw.binomial(200, truth, 2000)]
        covered = np.mean([share.low <= truth <= share.high for share in shares])
        assert 0.93 < covered < 0.97


def test_macro_f1_by_hand() -> None:
    truth, found = [0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 2, 2]
    each = [2 * 2 / (3 + 2), 2 * 1 / (2 + 2), 2 * 1 / (1 + 2)]
    made = score(truth, found, len(LABELS))
    assert made.samples == 6
    assert made.accuracy.value == 4 / 6
    assert math.isclose(made.macro_f1.value, sum(each) / 3)
    assert made.macro_f1.low < made.macro_f1.value < made.macro_f1.high
    assert made == score(truth, found, len(LABELS)), "the same seed, the same interval"
    # A label that occurs nowhere does not count.
    assert score(truth, found, 50).macro_f1.value == made.macro_f1.value


def test_the_bootstrap_covers_the_truth() -> None:
    draw = np.random.default_rng(2)
    truth = draw.integers(0, 3, 40_000)
    found = np.where(draw.random(40_000) < 0.8, truth, draw.integers(0, 3, 40_000))
    whole = score(truth.tolist(), found.tolist(), 3).macro_f1.value
    hits = 0
    for start in range(0, 40_000, 400):
        part = slice(start, start + 400)
        share = score(truth[part].tolist(), found[part].tolist(), 3).macro_f1
        hits += share.low <= whole <= share.high
    assert 88 <= hits <= 100


def test_many_classes_stay_small() -> None:
    truth = list(range(3000)) * 2
    assert score(truth, truth, 3000).macro_f1.value == 1.0
