"""A recipe of several stages is judged as a whole before any of them begins."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgekit.bundle.leftovers import lock
from edgekit.errors import (
    CannotWrite,
    EdgekitError,
    InputMissing,
    InputRefused,
    OutputExists,
    SpecError,
    TemporaryFailure,
    Unsupported,
)
from edgekit_converters import compress
from edgekit_converters.compress import job, rows
from edgekit_converters.compress import recipe as recipes
from edgekit_converters.compress.step import Setting
from edgekit_converters.prune.subject import Subject
from tests.support.refusals import refused
from tests.test_house import ROOT

FFN = '[[stages]]\nkind = "prune"\namount = 0.5\nmethod = "magnitude"\n'
VOCAB = '[[stages]]\nkind = "prune"\ngranularity = "vocab"\namount = 0.3\n'
STUDENT = '[[stages]]\nkind = "distill"\nlayers = 2\n'
PLAN = '[[stages]]\nkind = "quantize"\n'

Recipe = Callable[[str], Path]

# text, exit status, what is said; the third stage's mistakes are found before the first begins
WRONG = [
    ("", 64, "no list of stages"),
    ("stages = 3", 64, "no list of stages"),
    ("[[stages]]\namount = 0.5", 64, "stage 1 has no kind"),
    (FFN + '[[stages]]\nkind = "destill"', 64, "stage 2: unknown kind 'destill'"),
    (FFN + "[exports]", 64, "unknown key 'exports'"),
    (FFN + "[export]\nruntime = 'onnx'", 64, "[export]: unknown key 'runtime'"),
    (FFN + "[export]\nruntimes = 'onnx'", 64, "not a list of texts"),
    (FFN + "[export]\nruntimes = [3]", 64, "not a list of texts"),
    (FFN + "[export]\nmax_length = true", 64, "not a whole number"),
    ("export = 3\n" + FFN, 64, "export is no table"),
    (PLAN + FFN, 64, "stage 1, quantize comes before stage 2"),
    (FFN + VOCAB + STUDENT + "stepz = 3", 64, "stage 3, distill: recipe.toml: unknown key 'stepz'"),
    (FFN + VOCAB + STUDENT + "steps = -1", 64, "stage 3, distill: steps is -1"),
    (FFN + VOCAB + STUDENT + "held_out = 2", 64, "stage 3, distill: a share of 2"),
    (FFN + STUDENT + 'losses = [{name = "cosin"}]', 64, "stage 2, distill: "),
    (VOCAB + STUDENT + 'losses = [{name = "relations"}]', 64, "stage 2, distill: "),
    (FFN + STUDENT.replace("2", "7"), 64, "stage 2, distill: layers is 7, and the model has 4"),
    (FFN + STUDENT.replace("2", '"0,4"'), 64, "layers is 0,4, and the model has 4"),
    (FFN + STUDENT.replace("2", '"two"'), 64, "stage 2, distill: --layers is 'two'"),
    (FFN + PLAN + 'scheme = "int3"', 64, "stage 2, quantize: unknown scheme 'int3'"),
    (FFN + PLAN + 'skeme = "int8"', 64, "stage 2, quantize: recipe.toml: unknown key 'skeme'"),
    (FFN + PLAN + 'data = "x.txt"', 64, "stage 2, quantize: data has no place"),
    (FFN + 'data = "x.txt"', 64, "stage 1, prune: data has no place"),
    (FFN + "scan = true", 64, "stage 1, prune: scan has no place"),
    (FFN + "amont = 0.5", 64, "stage 1, prune: unknown option 'amont'"),
    (FFN.replace("0.5", "1.5"), 64, "stage 1, prune: an amount of 1.5"),
    (STUDENT + FFN + 'granularity = "head"', 78, "stage 2, prune: bert models cannot hold"),
    (FFN + PLAN + "[export]\nquantize = 'int8'", 64, "export: a stage quantize and [export]"),
    (FFN + "[export]\ntarget = 'ios'", 64, "export: unknown target 'ios'"),
    (
        FFN + PLAN + "[[stages.tensor]]\nmatch = '*'\nbits = 2\n[export]\nruntimes = ['onnx']",
        78,
        "export: the recipe's plan has 2-bit weights",
    ),
]


@pytest.mark.parametrize(("text", "status", "said"), WRONG, ids=lambda value: str(value)[-40:])
def test_a_mistake_is_named_with_its_stage(
    text: str,
    status: int,
    said: str,
    recipe: Recipe,
    original: Subject,
    texts: Path,
    tmp_path: Path,
) -> None:
    setting = Setting(original, rows.split(texts, tmp_path), recipe(text))
    with pytest.raises(EdgekitError) as found:
        recipes.checked(recipes.read(setting.recipe), setting)
    assert said in found.value.message
    assert found.value.exit_status == status
    assert found.value.hint
    assert str(found.value) == found.value.message


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        (FFN + '[[stages]]\nkind = "destill"', "Did you mean 'distill'?"),
        ('[[stages]]\nkind = "x"', "Kinds: distill, prune, quantize."),
        (FFN + "[export]\nrun_times = []", "Did you mean 'runtimes'?"),
        (PLAN + FFN, "Put quantize last."),
    ],
)
def test_what_to_do_is_said(text: str, hint: str, recipe: Recipe) -> None:
    assert refused(SpecError, 64, "", lambda: recipes.read(recipe(text))).hint == hint


def test_a_recipe_that_is_none(recipe: Recipe, tmp_path: Path) -> None:
    refused(InputMissing, 66, "no recipe", lambda: recipes.read(tmp_path / "none.toml"))
    refused(InputRefused, 65, "is not TOML", lambda: recipes.read(recipe("[[stages]\n")))
    long = recipe("# " + 70_000 * "x")
    refused(InputRefused, 65, "over 65536 bytes", lambda: recipes.read(long))


def test_without_data_only_what_needs_none(
    recipe: Recipe, original: Subject, tmp_path: Path
) -> None:
    """Built-in texts measure then; nothing can be trained."""
    found = rows.split(None, tmp_path)
    assert (found.training, found.trained, len(found.texts)) == (None, 0, 64)
    setting = Setting(original, found, recipe(FFN + PLAN))
    assert len(recipes.checked(recipes.read(setting.recipe), setting).stages) == 2
    setting = Setting(original, found, recipe(FFN + STUDENT))
    read = recipes.read(setting.recipe)
    refused(
        SpecError,
        64,
        "stage 2, distill: no data to learn from",
        lambda: recipes.checked(read, setting),
    )


def test_bits_of_a_decoder_are_the_exports(
    recipe: Recipe, original: Subject, tmp_path: Path
) -> None:
    decoder = replace(original, task="text-generation")
    for text, said in ((PLAN, "stage 1, quantize"), (FFN + PLAN, "stage 2, quantize")):
        setting = Setting(decoder, rows.split(None, tmp_path), recipe(text))
        read = recipes.read(setting.recipe)
        refused(Unsupported, 78, said, lambda r=read, s=setting: recipes.checked(r, s))
    setting = Setting(
        decoder, setting.rows, recipe(FFN + "[export]\nquantize = 'int4-int8'\nmax_context = 64")
    )
    assert recipes.checked(recipes.read(setting.recipe), setting).export["max_context"] == 64


def test_every_kind_is_a_file_with_the_same_functions() -> None:
    assert compress.names() == ("distill", "prune", "quantize")
    for name in compress.names():
        module = compress.kind(name)
        for function in ("check", "run", "bridges"):
            assert callable(getattr(module, function))


def test_the_example_recipe_is_one_for_minilm() -> None:
    """Its keys go with the real model: a check takes seconds, a run does not."""
    read = recipes.read(ROOT / "examples" / "recipes" / "smallest-encoder.toml")
    assert [stage.kind for stage in read.stages] == ["prune", "prune", "distill", "quantize"]


def test_rows_are_split_for_good(texts: Path, tmp_path: Path) -> None:
    """The same texts are held out each time; equal ones are on one side; columns stay."""
    lines = texts.read_text(encoding="utf-8").splitlines()
    table = tmp_path / "table.jsonl"
    records = [{"text": line, "label": str(len(line) % 2)} for line in [*lines, *lines]]
    table.write_text("\n".join(json.dumps(one) for one in records), encoding="utf-8")
    places = [tmp_path / "one", tmp_path / "two"]
    for place in places:
        place.mkdir()
    first, second = (rows.split(table, place) for place in places)
    assert first.texts == second.texts
    assert len(first.texts) == len(lines) // 10
    assert first.training is not None
    kept = [json.loads(line) for line in first.training.read_text("utf-8").splitlines()]
    assert first.trained == len(kept) == 2 * (len(lines) - len(first.texts))
    assert not {one["text"] for one in kept} & set(first.texts)
    assert kept[0]["label"] in ("0", "1")
    assert first.held_out is not None
    assert first.held_out.read_text("utf-8").splitlines() == list(first.texts)
    few = tmp_path / "few.txt"
    few.write_text("\n".join(lines[:15]), encoding="utf-8")
    refused(InputRefused, 65, "15 texts", lambda: rows.split(few, tmp_path))


def test_a_refused_job_leaves_nothing(
    model: Path, texts: Path, recipe: Recipe, tmp_path: Path
) -> None:
    path = recipe(FFN + VOCAB + STUDENT + "stepz = 3")
    before = sorted(os.listdir(tmp_path))
    out = tmp_path / "deep" / "out"

    def run(name: Path, **more: Any) -> None:
        job.compress(model, path, out=name, data=texts, **more)

    refused(SpecError, 64, "stage 3, distill", lambda: run(out))
    assert sorted(os.listdir(tmp_path)) == before
    taken = tmp_path / "taken"
    taken.mkdir()
    refused(OutputExists, 73, "already exists", lambda: run(taken))
    refused(CannotWrite, 73, "will not be replaced", lambda: run(taken, force=True))
    refused(InputMissing, 66, "none.txt", lambda: job.compress(model, path, data=Path("none.txt")))
    planned = tmp_path / "planned"
    shutil.copytree(model, planned)
    (planned / "quantization.json").write_text("{}")
    refused(
        InputRefused, 65, "has a quantization plan", lambda: job.compress(planned, path, out=out)
    )
    assert sorted(os.listdir(tmp_path)) == sorted([*before, "planned", "taken"])


def test_two_runs_of_one_output_do_not_meet(
    model: Path, texts: Path, recipe: Recipe, tmp_path: Path
) -> None:
    work = tmp_path / f"out{job.WORK}"
    work.mkdir()
    held = lock(work)
    assert held is not None
    try:
        refused(
            TemporaryFailure,
            75,
            "another run is at work",
            lambda: job.compress(model, recipe(FFN), out=tmp_path / "out", data=texts),
        )
    finally:
        os.close(held)
