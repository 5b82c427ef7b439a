"""What a query may hold, by task, and how a sample's line is read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgekit.errors import SpecError
from edgekit.tasks import Context, Query, check, halves, names, pairs, probabilities, task
from tests.support.refusals import refused


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("question-answering", "context"),
        ("zero-shot-classification", "labels"),
        ("multiple-choice", "choices"),
    ],
)
def test_what_a_task_needs(name: str, field: str) -> None:
    error = refused(SpecError, 64, f"{name} needs {field}", lambda: check(task(name), {}))
    assert f"--{field}" in error.hint
    check(task(name), {field: ("x",)})


@pytest.mark.parametrize("name", ["fill-mask", "sentence-similarity", "feature-extraction"])
def test_what_a_task_has_no_use_for(name: str) -> None:
    given: dict[str, Any] = {"context": "a passage"}
    error = refused(SpecError, 64, "takes no context", lambda: check(task(name), given))
    assert "nothing but texts" in error.hint
    check(task(name), {"context": None, "labels": (), "multi_label": False})


@pytest.mark.parametrize("value", [3, None])
def test_an_unknown_field_is_refused(value: object) -> None:
    given = {"context": "a", "wishes": value}
    refused(SpecError, 64, "wishes", lambda: check(task("question-answering"), given))


def test_a_list_that_is_one_string() -> None:
    zero_shot, given = task("zero-shot-classification"), {"labels": "travel"}
    error = refused(SpecError, 64, "one string", lambda: check(zero_shot, given))
    assert "['travel']" in error.hint


@pytest.mark.parametrize("name", names())
def test_every_task_has_the_whole_interface(name: str) -> None:
    of = task(name)
    assert of.AGREEMENT
    assert set(of.TAKES) <= set(Query("").__dict__) - {"text"}
    assert callable(of.rows)
    assert callable(of.agreement)
    assert callable(of.answer)


def test_a_line_with_a_tab_is_a_pair_where_a_second_text_is_taken() -> None:
    assert halves("question-answering", "Who?\tSomebody\there.") == ("Who?", "Somebody\there.")
    assert halves("text-classification", "one\ttwo") == ("one", "two")
    assert halves("text-classification", "one") == ("one", None)
    assert halves("fill-mask", "one\ttwo") == ("one\ttwo", None)


def test_what_goes_through_the_graph() -> None:
    known = Context()
    assert pairs(task("fill-mask"), Query("a"), known) == [("a", None)]
    assert pairs(task("text-classification"), Query("a", context="b"), known) == [("a", "b")]
    assert pairs(task("question-answering"), Query("a", context="b"), known) == [("a", "b")]
    query = Query("a", choices=("b", "c"), labels=("{}", "sport"), template="It is {}, {}!")
    assert pairs(task("multiple-choice"), query, known) == [("a", "b"), ("a", "c")]
    found = pairs(task("zero-shot-classification"), query, known)
    assert found == [("a", "It is {}, {}!"), ("a", "It is sport, sport!")]


def test_a_template_without_a_place() -> None:
    query = Query("a", labels=("b",), template="This is it.")
    zero_shot = task("zero-shot-classification")
    refused(SpecError, 64, "no place", lambda: pairs(zero_shot, query, Context()))


def test_a_single_choice_is_none() -> None:
    query = Query("a", choices=("b",))
    refused(SpecError, 64, "one choice", lambda: pairs(task("multiple-choice"), query, Context()))


def test_probabilities_of_huge_logits() -> None:
    found = probabilities(np.array([[-3e38, 3e38], [0.0, np.log(3.0)]], np.float32))
    np.testing.assert_allclose(found, [[0, 1], [0.25, 0.75]], rtol=1e-6)
