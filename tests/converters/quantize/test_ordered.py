"""Positions as a lookup: the same values, and then integers in both artifacts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import edgekit
from edgekit_converters.quantize.ordered import as_lookups
from edgekit_converters.quantize.units import units
from tests.converters.conftest import Case
from tests.support.models import tiny_sentence_bert
from tests.support.vocabulary import SENTENCES


@pytest.mark.parametrize("name", ["bert", "distilbert", "electra"])
def test_the_same_values_from_a_lookup(case: Callable[[str], Case], name: str) -> None:
    this = case(name)
    graph = this.rewritten().module()
    tables = {unit.name for unit in units(graph)}
    assert as_lookups(graph) == 1
    again = this.captured.again(graph).module()
    (made,) = {unit.name for unit in units(again)} - tables
    assert made.startswith("positions")
    for length in (2, 9, this.loaded.max_length):
        with torch.no_grad():
            expected = this.rewritten().module()(*this.ids(length))
            assert torch.equal(again(*this.ids(length)), expected)


def test_only_what_is_meant(case: Callable[[str], Case]) -> None:
    graph = case("bert").rewritten().module()
    assert as_lookups(graph, {"another"}) == 0
    assert as_lookups(graph, {"positions_0"}) == 1
    # RoBERTa's positions follow from its tokens: no table is read in order.
    assert as_lookups(case("roberta").rewritten().module()) == 0


@pytest.mark.slow
def test_positions_of_a_mixed_plan_are_rounded(tmp_path: Path) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join([*SENTENCES, *SENTENCES[:10]]), encoding="utf-8")
    made = edgekit.quantize(
        tiny_sentence_bert(tmp_path / "model"),
        out=tmp_path / "plan",
        max_size="17%",
        tweak=2,
        data=texts,
        samples=texts,
    )
    (row,) = (row for row in made.plan.ledger if row.tensor.startswith("positions"))
    assert row.bits < 32
    bundle = edgekit.export(made.path, out=tmp_path / "bundle", samples=texts)
    assert bundle.manifest.certified
    assert {artifact.runtime for artifact in bundle.manifest.artifacts} == {"executorch", "onnx"}
