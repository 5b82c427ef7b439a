"""Architectures that torch.export refuses as they are: captured exactly, and left as they were."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from edgekit_converters import families
from edgekit_converters.export.capture import Captured, capture
from edgekit_converters.graph import attention
from edgekit_converters.load import Loaded, load
from edgekit_converters.quantize.calibrate import calibrate
from edgekit_converters.quantize.methods import Calibrators
from edgekit_converters.quantize.schemes import SCHEMES
from edgekit_converters.quantize.settings import settle
from edgekit_converters.quiet import quiet
from edgekit_converters.source import resolve
from edgekit_converters.tasks import Wrapped, has_token_types, head_module, input_names
from tests.converters.conftest import Case, calibration
from tests.support.families import FAMILIES, STRANGERS, write_family
from tests.support.models import MAX_POSITIONS

TASK = "feature-extraction"


def loaded(name: str, folder: Path, **config: Any) -> Loaded:
    family = (FAMILIES | STRANGERS)[name]
    made = write_family(folder / "model", family, **config)
    head = head_module(TASK)
    return load(resolve(made), head.AUTO_CLASS, may_miss=head.MAY_MISS)


def case(name: str, folder: Path, static: bool = False, **config: Any) -> Case:
    """Loaded and captured as the pipeline does, family file included."""
    found = loaded(name, folder, **config)
    model: Any = found.model
    plain = input_names(TASK, model, found.tokenizer)
    names = (*plain, "attention_mask") if static else plain
    types, head = has_token_types(found.config), head_module(TASK).head(folder)
    attention.register()
    model.set_attn_implementation(attention.NAME)
    wrapped = Wrapped(model, head, names, types)
    with quiet(), families.capturable(model, found.family, found.max_length):
        captured = capture(wrapped, names, "hidden", found.max_length, static)
    model.set_attn_implementation("eager")
    return Case(found, captured, Wrapped(model, head, plain, types))


def inputs(this: Case, length: int) -> tuple[Tensor, ...]:
    """Random ids; where types are an input, the second half is another segment."""
    ids, *more = this.ids(length, seed=length)
    for types in more:
        types[:, length // 2 :] = 1
    return (ids, *more)


def worst(one: Captured, this: Case, lengths: tuple[int, ...]) -> float:
    module = one.module()
    found = 0.0
    for length in lengths:
        given = inputs(this, length)
        with torch.no_grad():
            found = max(found, float((module(*given) - this.eager(*given)).abs().max()))
    return found


@pytest.mark.parametrize("name", ["DeBERTa v1", "XLNet", "T5 encoder", "EuroBERT"])
def test_the_graph_is_the_models_function(name: str, tmp_path: Path) -> None:
    this = case(name, tmp_path)
    assert this.captured.signature.inputs[0].dims[1].minimum == 2
    lengths = (2, 3, 17, MAX_POSITIONS)
    assert worst(this.captured, this, lengths) < 2e-5
    assert worst(this.rewritten(), this, lengths) < 2e-5


def test_a_graph_that_reads_neighbours_starts_one_token_later(tmp_path: Path) -> None:
    this = case("MobileBERT", tmp_path)
    tokens = this.captured.signature.inputs[0].dims[1]
    assert (tokens.minimum, tokens.maximum) == (3, MAX_POSITIONS)
    assert worst(this.captured, this, (3, 4, MAX_POSITIONS)) < 1e-3  # its activations are large


def test_deberta_with_a_short_table_of_positions(tmp_path: Path) -> None:
    """Texts longer than positions are told apart: the reach is the table's own."""
    this = case("DeBERTa v1", tmp_path, max_relative_positions=24)
    assert worst(this.captured, this, (2, 23, 24, 25, 100)) < 2e-5


@pytest.mark.parametrize("settings", [{"clamp_len": 20}, {"bi_data": False, "attn_type": "bi"}])
def test_xlnet_settings(settings: dict[str, Any], tmp_path: Path) -> None:
    this = case("XLNet", tmp_path, **settings)
    assert [spec.name for spec in this.captured.signature.inputs] == ["input_ids", "token_type_ids"]
    assert worst(this.captured, this, (2, 40)) < 2e-5


@pytest.mark.parametrize("name", ["XLNet", "DeBERTa v1"])
def test_padding_changes_nothing(name: str, tmp_path: Path) -> None:
    this = case(name, tmp_path, static=True)
    given = inputs(this, 9)
    plain = given[: len(input_names(TASK, this.loaded.model, this.loaded.tokenizer))]
    room = this.loaded.max_length - 9
    padded = [torch.nn.functional.pad(tensor, (0, room)) for tensor in plain]
    mask = torch.nn.functional.pad(torch.ones(1, 9, dtype=torch.int64), (0, room))
    with torch.no_grad():
        found = this.captured.module()(*padded, mask)[:, :9]
        assert float((found - this.eager(*plain)).abs().max()) < 2e-5


@pytest.mark.parametrize("name", ["DeBERTa v1", "XLNet"])
def test_the_model_is_as_it_was(name: str, tmp_path: Path) -> None:
    found = loaded(name, tmp_path)
    before = {key: tensor.clone() for key, tensor in found.model.state_dict().items()}
    kinds = [type(module) for module in found.model.modules()]
    with pytest.raises(KeyError), families.capturable(found.model, found.family, 64):
        raise KeyError
    assert [type(module) for module in found.model.modules()] == kinds
    after = found.model.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[key], before[key]) for key in before)
    ids = torch.arange(5, 25)[None]
    with torch.no_grad():
        found.model(input_ids=ids)  # transformers' own form, at any length


def test_an_architecture_without_a_file_is_left_alone(tmp_path: Path) -> None:
    found = loaded("BERT", tmp_path)
    for name in ("bert", "../deberta", "__init__", "os"):
        with families.capturable(found.model, name, 64):
            pass
    assert set(families.names()) == {"deberta", "xlnet"}


def test_attention_that_is_not_this_one_is_refused() -> None:
    query = torch.zeros(1, 2, 3, 4)
    with pytest.raises(NotImplementedError, match="softcap"):
        attention.attention(torch.nn.Module(), query, query, query, None, softcap=30.0)


@pytest.mark.parametrize("name", ["ALBERT", "DeBERTa v2/v3"])
def test_a_weight_that_several_activations_meet_is_scaled_for_all(
    name: str, tmp_path: Path
) -> None:
    this = case(name, tmp_path)
    edge = this.rewritten()
    graph, choice = edge.module(), SCHEMES["int8"].choice()
    calibrate(graph, lambda units: settle(units, choice), Calibrators(), calibration(this, 8))
    given = inputs(this, 20)
    with torch.no_grad():
        want, found = this.eager(*given), edge.again(graph).module()(*given)
    cosine = torch.nn.functional.cosine_similarity(found.flatten(), want.flatten(), dim=0)
    assert float(cosine) > 0.999
