"""Cut models: units whose weights are zero go without a trace, and ``from_pretrained`` works."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from edgekit.errors import SpecError, Unsupported
from edgekit_converters import prune
from edgekit_converters.prune import architecture, plan, surgeon
from edgekit_converters.prune.groups import zeroed
from edgekit_converters.quiet import quiet
from tests.converters.prune import models

TOLERANCE = 1e-5


def cut(of: Any, granularity: str, amount: float = 0.5) -> plan.Cut:
    now = architecture.of(of)
    made: plan.Cut = prune.module("granularities", granularity).cut(now, now, amount)
    return made


def thinned(of: Any, chosen: plan.Cut, seed: int = 0) -> tuple[Any, dict[str, list[int]]]:
    """A copy in which random units have zero weights, and the units that are left."""
    changed = copy.deepcopy(of)
    state, kept = changed.state_dict(), {}
    draw = torch.Generator().manual_seed(seed)
    for group in chosen.groups:
        order = torch.randperm(group.count, generator=draw).tolist()
        kept[group.name] = sorted(order[: chosen.keep[group.name]])
        for name, tensor in zeroed(group, state, order[chosen.keep[group.name] :]).items():
            state[name].copy_(tensor)
    return changed, kept


def reloaded(made: Any, folder: Path) -> Any:
    with quiet():
        made.save_pretrained(folder)
        return type(made).from_pretrained(folder, attn_implementation="eager").eval()


def exact(name: str, granularity: str, folder: Path) -> float:
    chosen = cut(models.model(name), granularity)
    changed, kept = thinned(models.model(name), chosen)
    made = surgeon.cut(architecture.of(changed), chosen.groups, kept, chosen.sizes)
    assert sum(p.numel() for p in made.parameters()) < sum(p.numel() for p in changed.parameters())
    again = reloaded(made, folder)
    for key, size in chosen.sizes.items():
        assert getattr(again.config, key) == size
    before = models.outputs(name, changed)
    return float((models.outputs(name, again) - before).abs().max())


@pytest.mark.parametrize("name", models.NAMES)
def test_neurons_without_weights_go_unnoticed(name: str, tmp_path: Path) -> None:
    assert exact(name, "ffn", tmp_path) < TOLERANCE


@pytest.mark.parametrize("name", models.FREE_HEADS)
def test_heads_without_weights_go_unnoticed(name: str, tmp_path: Path) -> None:
    assert exact(name, "head", tmp_path) < TOLERANCE


@pytest.mark.parametrize("name", models.ROOT_MEAN_SQUARE)
def test_width_without_weights_goes_unnoticed_by_root_mean_square_norms(
    name: str, tmp_path: Path
) -> None:
    assert exact(name, "hidden", tmp_path) < TOLERANCE


@pytest.mark.parametrize("name", models.PRE_NORM)
def test_layers_without_weights_go_unnoticed(name: str, tmp_path: Path) -> None:
    assert exact(name, "layer", tmp_path) < TOLERANCE


@pytest.mark.parametrize("name", [n for n in models.NAMES if n not in models.ROOT_MEAN_SQUARE])
def test_width_takes_heads_along_where_they_hang_on_it(name: str, tmp_path: Path) -> None:
    of = models.model(name)
    chosen = cut(of, "hidden")
    now = architecture.of(of)
    assert chosen.sizes == {now.facts.HIDDEN: 32, now.facts.HEADS: 1}
    _, kept = thinned(of, chosen)
    made = reloaded(surgeon.cut(now, chosen.groups, kept, chosen.sizes), tmp_path)
    assert models.outputs(name, made).shape == models.outputs(name, of).shape
    # The heads that stay are the very ones that were chosen: their queries are the original's.
    group = next(g for g in chosen.groups if g.name.endswith("heads"))
    query = next(m for m in group.members if not m.reads and m.parameter.endswith("weight"))
    rows = query.index(kept[group.name])
    columns = torch.tensor(kept["hidden"])
    before = of.state_dict()[query.parameter].index_select(query.dim, rows)
    before = before.index_select(1 - query.dim, columns)
    assert torch.equal(made.state_dict()[query.parameter], before)


@pytest.mark.parametrize("name", [n for n in models.NAMES if n not in models.FREE_HEADS])
def test_heads_that_no_config_can_hold_are_refused_with_what_there_is(name: str) -> None:
    with pytest.raises(Unsupported) as refused:
        cut(models.model(name), "head")
    assert refused.value.exit_status == 78
    assert "cannot hold fewer heads" in refused.value.message
    for unit in ("hidden", "ffn", "layer", "vocab"):
        assert unit in refused.value.hint


def test_grouped_queries_stay_with_their_key_head() -> None:
    of = models.model("Llama, grouped queries")
    chosen = cut(of, "head")
    assert chosen.sizes == {"num_attention_heads": 4, "num_key_value_heads": 2}
    now = architecture.of(of)
    kept = {group.name: [1, 3] for group in chosen.groups}
    made = surgeon.cut(now, chosen.groups, kept, chosen.sizes).state_dict()
    before = of.state_dict()
    width, name = now.head_width, "model.layers.0.self_attn.{}_proj.weight"
    queries = before[name.format("q")].reshape(4, 2 * width, -1)
    assert torch.equal(made[name.format("q")], queries[[1, 3]].reshape(4 * width, -1))
    keys = before[name.format("k")].reshape(4, width, -1)
    assert torch.equal(made[name.format("k")], keys[[1, 3]].reshape(2 * width, -1))


def test_a_tied_table_stays_tied(tmp_path: Path) -> None:
    for name in ("BERT", "GPT-2", "Llama, grouped queries", "T5"):
        chosen = cut(models.model(name), "hidden")
        changed, kept = thinned(models.model(name), chosen)
        now = architecture.of(changed)
        made = reloaded(surgeon.cut(now, chosen.groups, kept, chosen.sizes), tmp_path / name)
        table, head = made.get_input_embeddings().weight, made.get_output_embeddings().weight
        assert table.data_ptr() == head.data_ptr()


def test_an_unknown_architecture_is_refused_with_those_that_are_known() -> None:
    import transformers

    sizes = {"hidden_size": 32, "num_attention_heads": 2, "num_hidden_layers": 1}
    more = {"vocab_size": 50, "intermediate_size": 32, "embedding_size": 16}
    of = transformers.AutoModel.from_config(transformers.AlbertConfig(**sizes, **more))
    with pytest.raises(Unsupported, match="albert models cannot be cut") as refused:
        architecture.of(of)
    assert "bert" in refused.value.hint


@pytest.mark.parametrize(("granularity", "count"), [("ffn", 128), ("layer", 3)])
def test_nothing_left_and_nothing_removed_are_refused(granularity: str, count: int) -> None:
    of = models.model("BERT")
    with pytest.raises(SpecError, match=f"leave none of {count}"):
        cut(of, granularity, 0.995)
    with pytest.raises(SpecError, match=f"removes none of {count}"):
        cut(of, granularity, 0.01)


@pytest.mark.parametrize(("table", "hint"), [(32, "another width"), (64, "other units")])
def test_a_projection_neither_comes_nor_goes(table: int, hint: str) -> None:
    import transformers

    sizes = {"hidden_size": 64, "num_attention_heads": 2, "num_hidden_layers": 2}
    more = {"vocab_size": 50, "intermediate_size": 64, "embedding_size": table}
    of = transformers.AutoModel.from_config(transformers.ElectraConfig(**sizes, **more))
    with pytest.raises(
        SpecError, match=f"leaves a width of 32, and the token table has {table}"
    ) as e:
        cut(of, "hidden")
    assert hint in e.value.hint
    kept = transformers.ElectraConfig(**sizes, **{**more, "embedding_size": 16})
    assert cut(transformers.AutoModel.from_config(kept), "hidden").sizes["hidden_size"] == 32


def test_widths_stay_multiples_that_kernels_take() -> None:
    assert plan.kept(1536, 0.5, "neurons", 32) == 768
    assert plan.kept(1536, 0.45, "neurons", 32) == 832
    assert plan.kept(1536, 0.99, "neurons", 32) == 32
    # A width that is no multiple itself goes one by one.
    assert plan.kept(100, 0.5, "neurons", 32) == 50
    assert plan.kept(30522, 1 - 8000 / 30522, "tokens") == 8000
