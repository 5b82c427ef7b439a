"""Rules of answers against transformers' own processors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from transformers import generation as theirs

from edgekit.errors import SpecError
from edgekit.runtime.generation.constraints import FORBIDDEN, Rules, constrained

VOCABULARY, LONGEST = 12, 9
EOS = 1
# Two and three tokens come again.
IDS = (0, 5, 6, 7, 5, 6, 3, 5, 6)

CASES: dict[str, tuple[Rules, Any, tuple[int, ...]]] = {
    "no_repeat": (Rules((0,), no_repeat=3), theirs.NoRepeatNGramLogitsProcessor(3), IDS),
    "no_repeat of one": (Rules((0,), no_repeat=1), theirs.NoRepeatNGramLogitsProcessor(1), IDS),
    "no_repeat too early": (
        Rules((0,), no_repeat=4),
        theirs.NoRepeatNGramLogitsProcessor(4),
        IDS[:2],
    ),
    "banned": (
        Rules((0,), banned=((2,), (5, 6, 8), (9, 6, 10))),
        theirs.NoBadWordsLogitsProcessor([[2], [5, 6, 8], [9, 6, 10]], eos_token_id=EOS),
        IDS,
    ),
    "least": (
        Rules((0,), (EOS, 4), least=6),
        theirs.MinLengthLogitsProcessor(6, [EOS, 4]),
        IDS[:5],
    ),
    "least reached": (Rules((0,), (EOS,), least=6), theirs.MinLengthLogitsProcessor(6, [EOS]), IDS),
    "first": (Rules((0,), first=7), theirs.ForcedBOSTokenLogitsProcessor(7), IDS[:1]),
    "first is over": (Rules((0,), first=7), theirs.ForcedBOSTokenLogitsProcessor(7), IDS[:2]),
    "last": (Rules((0,), last=EOS), theirs.ForcedEOSTokenLogitsProcessor(LONGEST, EOS), IDS[:8]),
    "not last": (
        Rules((0,), last=EOS),
        theirs.ForcedEOSTokenLogitsProcessor(LONGEST, EOS),
        IDS[:7],
    ),
    "suppressed": (
        Rules((0,), suppressed=(3, 8)),
        theirs.SuppressTokensLogitsProcessor([3, 8]),
        IDS,
    ),
    "suppressed first": (
        Rules((0,), suppressed_first=(3, 8)),
        theirs.SuppressTokensAtBeginLogitsProcessor([3, 8], 1),
        IDS[:1],
    ),
    "suppressed behind the first": (
        Rules((0,), first=7, suppressed_first=(3, 8)),
        theirs.SuppressTokensAtBeginLogitsProcessor([3, 8], 2),
        IDS[:2],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_rule_is_transformers_own(name: str) -> None:
    rules, processor, ids = CASES[name]
    scores = np.random.default_rng(0).standard_normal(VOCABULARY).astype(np.float32)
    wanted = processor(torch.tensor([ids]), torch.from_numpy(scores.copy())[None])[0].numpy()
    found = constrained(scores, ids, rules, LONGEST)
    assert np.array_equal(found == FORBIDDEN, np.isneginf(wanted))
    kept = np.isfinite(wanted)
    assert np.array_equal(found[kept], wanted[kept])
    # Each case but those that say so forbids something.
    assert (found == FORBIDDEN).any() == (
        name not in ("no_repeat too early", "least reached", "first is over", "not last")
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"start": ()},
        {"start": (-1,)},
        {"start": (0,), "eos": (-2,)},
        {"start": (0,), "banned": ((),)},
        {"start": (0,), "no_repeat": -1},
        {"start": (0,), "least": -1},
    ],
)
def test_rules_that_no_answer_can_follow_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(SpecError):
        Rules(**settings)
