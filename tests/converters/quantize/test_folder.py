"""Plans on the disk: what is written comes back, and nothing else is taken for a plan."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save, save_file

from edgekit.bundle.canonical import dump_bytes
from edgekit.errors import InputRefused, InternalError, PermissionRefused
from edgekit_converters.quantize import folder, record
from edgekit_converters.quantize.decisions import Decisions
from edgekit_converters.quantize.ledger import Row
from edgekit_converters.quantize.plan import FP32, Setting, Unit, stored_bytes
from edgekit_converters.quantize.record import PLAN, TENSORS, Calibration, Facts
from edgekit_converters.quantize.rounding import nearest
from tests.support.refusals import refused, unreadable

WEIGHTS = "a" * 64


def facts(**changes: Any) -> Facts:
    known: dict[str, Any] = {
        "scheme": "int8",
        "task": "feature-extraction",
        "max_length": 64,
        "scaling": "smoothquant",
        "rounding": "gptq",
        "split": True,
        "overrides": (),
        "calibration": Calibration(
            count=9, tokens=90, cut=0, unknown=0.0, built_in=False, sha256="b" * 64
        ),
        "fp32_bytes": 4000,
        "forecast_bytes": 1000,
        "coverage": 1.0,
        "quality": (),
        "search": None,
        "weights_sha256": WEIGHTS,
        "toolchain": {"python": "3.11"},
    }
    return Facts(**known | changes)


def decisions() -> Decisions:
    """A table with groups, a linear parted in two and scaled, and a tensor left alone."""
    made = torch.Generator().manual_seed(0)
    shapes = {
        "table": ("table", 10, 64, Setting(4, 32)),
        "linear_outliers": ("linear", 6, 8, Setting(8)),
        "linear_rest": ("linear", 6, 24, Setting(8)),
        "narrow": ("table", 3, 40, Setting(FP32, reason="not asked for")),
    }
    found = Decisions()
    for name, (kind, rows, columns, setting) in shapes.items():
        unit = Unit(name, kind, rows, columns, "", ())
        weight = torch.randn(rows, columns, generator=made)
        if setting.bits != FP32:
            found.grids[name] = nearest.fit(weight, setting.bits, setting.group)
        found.rows.append(
            Row(
                tensor=name,
                kind=kind,
                rows=rows,
                columns=columns,
                bits=setting.bits,
                group=setting.group,
                bytes_before=4 * unit.elements,
                bytes_after=stored_bytes(unit, setting),
                weight_db=None if setting.bits == FP32 else 40.25,
                output_db=None,
                reason=setting.reason,
            )
        )
    found.factors["linear_rest"] = torch.rand(24, generator=made) + 0.5
    found.channels["linear"] = torch.tensor([1, 2, 5, 7, 11, 13, 17, 31])
    return found


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    home = tmp_path / "model"
    home.mkdir()
    folder.save(home, decisions(), facts())
    return home


def test_what_is_written_comes_back(saved: Path) -> None:
    wanted = decisions()
    found = folder.load(saved, WEIGHTS)
    assert found is not None
    made, known = found
    assert known == facts()
    assert made.rows == wanted.rows
    # Scaling adds constants in the order of the dict: it must be the graph's.
    assert list(made.grids) == ["table", "linear_outliers", "linear_rest"]
    for name, grid in wanted.grids.items():
        assert torch.equal(made.grids[name].values, grid.values)
        assert torch.equal(made.grids[name].scales, grid.scales)
        assert (made.grids[name].bits, made.grids[name].group) == (grid.bits, grid.group)
        assert torch.equal(made.grids[name].dequantized(), grid.dequantized())
    assert torch.equal(made.factors["linear_rest"], wanted.factors["linear_rest"])
    assert torch.equal(made.channels["linear"], wanted.channels["linear"])


def test_equal_plans_have_equal_bytes(saved: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    turned = decisions()
    turned.grids = dict(reversed(turned.grids.items()))
    folder.save(other, turned, facts())
    for name in (PLAN, TENSORS):
        assert (other / name).read_bytes() == (saved / name).read_bytes()
    data = json.loads((saved / PLAN).read_bytes())
    assert (saved / PLAN).read_bytes() == dump_bytes(data)
    assert data["ledger"][0]["scheme"] == "int4 group 32"


def test_a_plan_that_quantizes_nothing(tmp_path: Path) -> None:
    nothing = Decisions(rows=decisions().rows[3:])
    folder.save(tmp_path, nothing, facts(scheme="fp32"))
    found = folder.load(tmp_path, WEIGHTS)
    assert found is not None
    assert found[0] == nothing


def test_no_plan(tmp_path: Path) -> None:
    assert folder.load(tmp_path, WEIGHTS) is None
    assert record.opened(tmp_path / "missing") is None


@pytest.mark.parametrize("change", ["grid", "row", "shape"])
def test_a_ledger_that_lies_is_never_written(tmp_path: Path, change: str) -> None:
    lying = decisions()
    if change == "grid":
        del lying.grids["table"]
    elif change == "row":
        del lying.rows[0]
    else:
        lying.rows[0] = replace(lying.rows[0], rows=11)
    with pytest.raises(InternalError):
        folder.save(tmp_path, lying, facts())
    assert list(tmp_path.iterdir()) == []


# Files that are damaged


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


def a_pickle(path: Path) -> None:
    path.write_bytes(b"\x80\x04" + path.read_bytes())


@pytest.mark.parametrize("name", [PLAN, TENSORS])
@pytest.mark.parametrize("damage", [cut, flip, a_pickle, lambda path: path.write_bytes(b"")])
def test_damage(saved: Path, name: str, damage: Callable[[Path], None]) -> None:
    damage(saved / name)
    error = refused(InputRefused, 65, name, lambda: folder.load(saved, WEIGHTS))
    assert "edgekit quantize" in error.hint


@pytest.mark.parametrize("name", [PLAN, TENSORS])
def test_half_a_plan(saved: Path, name: str) -> None:
    (saved / name).unlink()
    refused(InputRefused, 65, f"no {name}", lambda: folder.load(saved, WEIGHTS))
    (saved / name).mkdir()
    refused(InputRefused, 65, f"no {name}", lambda: folder.load(saved, WEIGHTS))


def test_other_weights(saved: Path) -> None:
    refused(InputRefused, 65, "other weights", lambda: folder.load(saved, "c" * 64))


def test_a_plan_that_may_not_be_read(saved: Path) -> None:
    with unreadable(saved / PLAN):
        refused(PermissionRefused, 77, PLAN, lambda: folder.load(saved, WEIGHTS))


# Plans that were sealed again by somebody who changed them


def reseal(saved: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the plan and make its digests fit, as whoever forges one would."""
    data = json.loads((saved / PLAN).read_bytes())
    data["tensors_sha256"] = hashlib.sha256((saved / TENSORS).read_bytes()).hexdigest()
    change(data)
    data.pop("seal")
    data["seal"] = hashlib.sha256(dump_bytes(data)).hexdigest()
    (saved / PLAN).write_bytes(dump_bytes(data))


def test_the_forgery_of_these_tests_is_otherwise_sound(saved: Path) -> None:
    reseal(saved, lambda data: data["facts"].update(task="fill-mask"))
    found = folder.load(saved, WEIGHTS)
    assert found is not None
    assert found[1].task == "fill-mask"


@pytest.mark.parametrize(
    ("change", "telling"),
    [
        (lambda d: d.update(format_version=3), "format version 3"),
        (lambda d: d.update(format_version=True), "format_version"),
        (lambda d: d.update(format_version="1"), "format_version"),
        (lambda d: d.pop("format_version"), "format_version"),
        (lambda d: d.update(more=1), "at more"),
        (lambda d: d.pop("ledger"), "at ledger"),
        (lambda d: d["facts"].update(coverage=1.5), "facts.coverage"),
        (lambda d: d["facts"].update(max_length="64"), "facts.max_length"),
        (lambda d: d["facts"]["calibration"].update(unknown=-1.0), "facts.calibration.unknown"),
        (lambda d: d["ledger"][0].update(bits=3), "ledger.0.bits"),
        (lambda d: d["ledger"][0].update(rows=0), "ledger.0.rows"),
        (lambda d: d["ledger"][0].update(rows=10**12), "ledger.0.rows"),
        (lambda d: d["ledger"][0].update(kind="conv"), "ledger.0.kind"),
        (lambda d: d["ledger"][0].update(weight_db="x"), "ledger.0.weight_db"),
        (lambda d: d["ledger"][0].pop("reason"), "ledger.0.reason"),
    ],
)
def test_malformed_plans(
    saved: Path, change: Callable[[dict[str, Any]], None], telling: str
) -> None:
    reseal(saved, change)
    refused(InputRefused, 65, telling, lambda: folder.load(saved, WEIGHTS))


def test_a_newer_plan_says_how_to_read_it(saved: Path) -> None:
    reseal(saved, lambda data: data.update(format_version=3))
    error = refused(InputRefused, 65, "up to 2", lambda: folder.load(saved, WEIGHTS))
    assert "pip install --upgrade" in error.hint


@pytest.mark.parametrize("text", ["[]", "{", '{"a": NaN}', "[" * 100_000, "\ud83d"])
def test_texts_that_are_no_plan(saved: Path, text: str) -> None:
    (saved / PLAN).write_bytes(text.encode("utf-8", "surrogatepass"))
    refused(InputRefused, 65, PLAN, lambda: folder.load(saved, WEIGHTS))


def test_a_plan_of_gigabytes_is_not_read(saved: Path) -> None:
    with (saved / PLAN).open("wb") as stream:
        stream.truncate(8 << 30)
    refused(InputRefused, 65, "longer than", lambda: folder.load(saved, WEIGHTS))


def forge(saved: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    tensors = load_file(saved / TENSORS)
    change(tensors)
    save_file(tensors, saved / TENSORS)
    reseal(saved, lambda data: None)


@pytest.mark.parametrize(
    ("change", "telling"),
    [
        (lambda t: t.pop("scales/table"), "'scales/table' is absent"),
        (lambda t: t.pop("values/linear_rest"), "'values/linear_rest' is absent"),
        (lambda t: t.update({"values/more": torch.zeros(1)}), "wants absent"),
        (lambda t: t.update({"values/narrow": torch.zeros(3, 40)}), "wants absent"),
        (lambda t: t.update({"factors/table": torch.ones(64)}), "wants absent"),
        (lambda t: t.update({"channels/other": torch.ones(8).long()}), "wants absent"),
        (lambda t: t.update({"channels/linear": torch.arange(9)}), "I64 [9]"),
        (lambda t: t.update({"channels/linear": torch.tensor(1)}), "I64 []"),
        (lambda t: t.update({"values/table": t["values/table"][:9].clone()}), "I8 [9, 64]"),
        (lambda t: t.update({"values/table": t["values/table"].short()}), "I16 [10, 64]"),
        (lambda t: t.update({"scales/table": t["scales/table"].half()}), "F16 [10, 2]"),
        (lambda t: t["values/table"][3].fill_(8), "table has integers beyond 4 bits"),
        (lambda t: t["values/linear_rest"][3].fill_(-128), "beyond 8 bits"),
        (lambda t: t["scales/table"][3].fill_(math.nan), "not positive and finite"),
        (lambda t: t["scales/table"][3].fill_(0.0), "not positive and finite"),
        (lambda t: t["factors/linear_rest"][3].fill_(math.inf), "not positive and finite"),
        (lambda t: t["factors/linear_rest"][3].fill_(-1.0), "not positive and finite"),
        (lambda t: t["channels/linear"][7].fill_(32), "channels of 0 to 31"),
        (lambda t: t["channels/linear"][0].fill_(-1), "channels of 0 to 31"),
        (lambda t: t["channels/linear"][1].fill_(1), "channels of 0 to 31"),
    ],
)
def test_forged_integers(
    saved: Path, change: Callable[[dict[str, torch.Tensor]], None], telling: str
) -> None:
    forge(saved, change)
    error = refused(InputRefused, 65, telling, lambda: folder.load(saved, WEIGHTS))
    assert TENSORS in error.message


def test_a_file_that_is_no_safetensors(saved: Path) -> None:
    (saved / TENSORS).write_bytes(b"\x80\x04not tensors")
    reseal(saved, lambda data: None)
    refused(InputRefused, 65, "not a valid safetensors", lambda: folder.load(saved, WEIGHTS))


def test_a_group_wider_than_the_memory_is_only_a_row(saved: Path) -> None:
    """What one scale serves is at most a row, whatever the ledger claims."""
    tensors = load_file(saved / TENSORS)
    tensors["scales/table"] = tensors["scales/table"][:, :1].clone()
    (saved / TENSORS).write_bytes(save(tensors))
    reseal(saved, lambda data: data["ledger"][0].update(group=10**15))
    found = folder.load(saved, WEIGHTS)
    assert found is not None
    assert found[0].grids["table"].dequantized().shape == (10, 64)


def test_records_have_the_ledgers_fields() -> None:
    (row, *_) = decisions().rows
    assert set(row.record()) == set(record.TensorRow.model_fields)


def test_a_bundle_is_no_quantized_folder(saved: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(saved, bundle)
    (bundle / "edgekit.json").write_text("{}")
    assert record.opened(bundle) is None
