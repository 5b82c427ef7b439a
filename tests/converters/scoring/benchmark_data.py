"""Small sets in the formats of well-known benchmarks, with questions of our own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

Row = dict[str, Any]

# Suite -> dataset, configuration, split, as on the hub.
PLACES: Mapping[str, tuple[str, str, str]] = {
    "arc_easy": ("allenai/ai2_arc", "ARC-Easy", "test"),
    "arc_challenge": ("allenai/ai2_arc", "ARC-Challenge", "test"),
    "wsc273": ("lighteval/winograd_wsc", "wsc273", "test"),
    "winogrande": ("allenai/winogrande", "winogrande_xl", "validation"),
    "copa": ("aps/super_glue", "copa", "validation"),
    "hellaswag": ("Rowan/hellaswag", "", "validation"),
    "piqa": ("baber/piqa", "", "validation"),
    "boolq": ("aps/super_glue", "boolq", "validation"),
    "gsm8k": ("openai/gsm8k", "main", "test"),
    "wikitext": ("EleutherAI/wikitext_document_level", "wikitext-2-raw-v1", "test"),
}
_NAMES = ("Anna", "Ben", "Clara", "David", "Emma", "Felix")
_ROOMS = ("kitchen", "bedroom", "hall", "office", "garage", "garden")
_THINGS = ("lamp", "fan", "radio", "heater", "camera", "printer")


def write(folder: Path, rows: int = 8, ending: str = "jsonl") -> Path:
    """Write every set below a folder and give the folder back."""
    for suite, (dataset, config, split) in PLACES.items():
        place = folder / dataset / config
        place.mkdir(parents=True, exist_ok=True)
        made = [MAKERS[suite](at) for at in range(rows)]
        if ending == "parquet":
            from datasets import Dataset

            Dataset.from_list(made).to_parquet(str(place / f"{split}-00000-of-00001.parquet"))
        else:
            if suite == "gsm8k":  # examples of its prompts come from another split
                other = "\n".join(json.dumps(MAKERS[suite](at)) for at in range(50, 58))
                (place / f"train.{ending}").write_text(other, encoding="utf-8")
            text = "\n".join(json.dumps(row) for row in made)
            (place / f"{split}.{ending}").write_text(text, encoding="utf-8")
    return folder


def _turns(at: int) -> Iterator[str]:
    yield _NAMES[at % 6]
    yield _ROOMS[(at * 5 + 1) % 6]
    yield _THINGS[(at * 3 + 2) % 6]


def arc(at: int) -> Row:
    a, b = at % 7 + 1, at % 5 + 2
    sums = [str(a + b), str(a + b + 1), str(abs(a - b)), str(a + b + 3)]
    turned = sums[at % 4 :] + sums[: at % 4]
    return {
        "id": f"own-{at}",
        "question": f"what is {a} + {b}?",
        "choices": {"text": turned, "label": ["A", "B", "C", "D"]},
        "answerKey": "ABCD"[turned.index(sums[0])],
    }


def wsc(at: int) -> Row:
    name, room, thing = _turns(at)
    text = f"{name} left the {thing} in the {room} because it was broken."
    place = text.index(" it ") + 1
    options = [f"the {thing}", f"the {room}"]
    return {
        "text": text,
        "pronoun": "it",
        "pronoun_loc": place,
        "quote": "it was broken",
        "quote_loc": place,
        "options": options,
        "label": 0,
        "source": "own",
    }


def winogrande(at: int) -> Row:
    name, room, thing = _turns(at)
    return {
        "sentence": f"{name} moved the {thing} out of the {room} because the _ was too small.",
        "option1": thing,
        "option2": room,
        "answer": "2",
    }


def copa(at: int) -> Row:
    name, room, thing = _turns(at)
    return {
        "premise": f"The {thing} in the {room} was off.",
        "choice1": f"{name} turned on the {thing}.",
        "choice2": f"{name} said water in German.",
        "question": "effect" if at % 2 else "cause",
        "idx": at,
        "label": 0,
    }


def hellaswag(at: int) -> Row:
    name, room, thing = _turns(at)
    ends = [f"turns on the {thing}.", "is 7 + 5.", "writes 2021-03-03.", "says bread in French."]
    return {
        "ind": at,
        "activity_label": "At home",
        "ctx_a": f"{name} walks into the {room}.",
        "ctx_b": "he",
        "ctx": f"{name} walks into the {room}. he",
        "endings": ends[at % 4 :] + ends[: at % 4],
        "source_id": f"own~{at}",
        "split": "val",
        "split_type": "indomain",
        "label": str((4 - at % 4) % 4),
    }


def piqa(at: int) -> Row:
    _, room, thing = _turns(at)
    good, bad = f"turn on the {thing} in the {room}.", f"say {thing} to the {room}."
    right = at % 2
    return {
        "goal": f"have the {thing} of the {room} on",
        "sol1": bad if right else good,
        "sol2": good if right else bad,
        "label": right,
    }


def boolq(at: int) -> Row:
    name, room, thing = _turns(at)
    state = "on" if at % 2 else "off"
    return {
        "question": f"is the {thing} on",
        "passage": f"{name} is in the {room}. The {room} {thing} is {state}.",
        "idx": at,
        "label": at % 2,
    }


def gsm(at: int) -> Row:
    name, _, _ = _turns(at)
    a, b = at + 2, at % 4 + 1
    answer = f"{name} has {a} + {b} = <<{a}+{b}={a + b}>>{a + b} lamps.\n#### {a + b}"
    return {
        "question": f"{name} has {a} lamps and gets {b} more. How many lamps has {name}?",
        "answer": answer,
    }


def wikitext(at: int) -> Row:
    name, room, thing = _turns(at)
    page = f" = {name} = \n\n {name} is in the {room} . The {thing} @-@ {room} is on . \n"
    return {"page": page * (3 if at == 0 else 1)}


MAKERS: Mapping[str, Callable[[int], Row]] = {
    "arc_easy": arc,
    "arc_challenge": arc,
    "wsc273": wsc,
    "winogrande": winogrande,
    "copa": copa,
    "hellaswag": hellaswag,
    "piqa": piqa,
    "boolq": boolq,
    "gsm8k": gsm,
    "wikitext": wikitext,
}
