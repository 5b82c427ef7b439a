"""Causal language models: what is learned of a chat, a prompt and a text, and that it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgekit.errors import InputRefused
from edgekit_converters.training.data_tokens import transformers_tokenizer
from edgekit_converters.tune.tasks import IGNORED, Coding, tune_task
from examples.tiny_decoder import Recipe, train
from tests.converters.tune.conftest import Tune
from tests.support.models import edit_json
from tests.support.refusals import loaded, refused

TASK = tune_task("text-generation")


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A decoder with a chat template that has hardly learned anything."""
    folder = tmp_path_factory.mktemp("decoder") / "model"
    folder.mkdir()
    sizes = {"hidden": 40, "feed_forward": 80, "layers": 2, "heads": 2, "context": 128}
    train(Recipe(vocabulary=400, steps=2, batch=2, length=32, **sizes), folder, lambda line: None)
    return folder


def coding(folder: Path, kind: str, max_length: int = 64) -> Coding:
    tokenizer = transformers_tokenizer(folder)
    return Coding(tokenizer, folder, None, kind, max_length, ("input_ids", "attention_mask"))


def learned(made: dict[str, list[Any]], coded: Coding) -> list[str]:
    """The text of the tokens that are learned, row by row."""
    rows = zip(made["input_ids"], made["labels"], strict=True)
    return [
        coded.tokenizer.decode([i for i, label in zip(*row, strict=True) if label != IGNORED])
        for row in rows
    ]


def chat(*turns: str) -> dict[str, list[Any]]:
    roles = ("user", "assistant")
    messages = [{"role": roles[i % 2], "content": text} for i, text in enumerate(turns)]
    return {"messages": [messages], "prompt": [None], "completion": [None]}


def test_only_the_answers_of_a_chat_are_learned(decoder: Path) -> None:
    coded = coding(decoder, "messages")
    made = TASK.encoded(chat("what is 1 + 1?", "two", "and 2 + 2?", "four"), coded)
    assert learned(made, coded) == ["two<|end|>four<|end|>"]
    whole = coded.tokenizer.decode(made["input_ids"][0])
    assert whole.startswith("<|begin|><|user|>what is 1 + 1?<|end|><|assistant|>two")
    # A chat model is told a prompt as it will be told it on the phone.
    prompt = {"messages": [[]], "prompt": ["what is 1 + 1?"], "completion": ["two"]}
    assert TASK.encoded(prompt, coding(decoder, "prompt"))["input_ids"] == [
        made["input_ids"][0][: len(coded.tokenizer("<|begin|>")["input_ids"])]
        + coded.tokenizer("<|user|>what is 1 + 1?<|end|><|assistant|>two<|end|>")["input_ids"]
    ]


def test_a_template_that_hides_earlier_turns_teaches_the_last_answer(decoder: Path) -> None:
    coded = coding(decoder, "messages")
    coded.tokenizer.chat_template = (
        "{% for m in messages %}{% if loop.last or m.role == 'user' %}"
        "[{{ m.role }}]{{ m.content }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}[assistant]{% endif %}"
    )
    made = TASK.encoded(chat("one", "two", "three", "four"), coded)
    assert learned(made, coded) == ["four"]


def test_a_prompt_without_a_template(decoder: Path) -> None:
    coded = coding(decoder, "prompt")
    coded.tokenizer.chat_template = None
    batch = {"messages": [[]], "prompt": ["say it: "], "completion": ["yes"]}
    assert learned(TASK.encoded(batch, coded), coded) == [" yes<|end|>"]
    refused(
        InputRefused, 65, "no chat template", lambda: TASK.encoded(chat("a", "b"), _without(coded))
    )


def _without(coded: Coding) -> Coding:
    return Coding(coded.tokenizer, coded.folder, None, "messages", 64, coded.inputs)


def test_a_long_text_becomes_several_rows_and_a_lost_answer_none(decoder: Path) -> None:
    coded = coding(decoder, "text", max_length=8)
    text = "one two three four five six seven eight nine ten"
    made = TASK.encoded({"messages": [[]], "prompt": [""], "completion": [text]}, coded)
    assert all(len(ids) <= 8 for ids in made["input_ids"])
    assert "".join(learned(made, coded)) == f"{text}<|end|>"
    cut = TASK.encoded(chat("a question " * 20, "yes"), coding(decoder, "messages", max_length=8))
    assert cut["input_ids"] == []


def test_a_decoder_learns_an_answer(decoder: Path, tuned: Tune) -> None:
    rows = [
        {"prompt": f"what is the colour of {n}?", "completion": "It is blue."} for n in range(40)
    ]
    made = tuned(decoder, rows, steps=50, learning_rate=1e-2)
    before, after = made.report["metrics"]["before"], made.report["metrics"]["after"]
    assert made.report["task"] == "text-generation"
    assert after["perplexity"] < before["perplexity"] / 10
    assert after["token_accuracy"] > 0.9
    model = loaded(made.path, "AutoModelForCausalLM", attention="sdpa").model
    tokenizer = transformers_tokenizer(made.path)
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": "what is the colour of 99?"}],
        tokenize=False,
        add_generation_prompt=True,
    )
    ids = tokenizer(text, return_tensors="pt")["input_ids"]
    answer = model.generate(input_ids=ids, max_new_tokens=20, do_sample=False)[0, ids.shape[1] :]
    assert tokenizer.decode(answer, skip_special_tokens=True) == "It is blue."


def test_nothing_left_to_learn_is_told(decoder: Path, tuned: Tune, tmp_path: Path) -> None:
    rows = [{"prompt": f"a very long question {n} " * 9, "completion": "yes"} for n in range(8)]
    job = lambda: tuned(decoder, rows, max_length=12)  # noqa: E731
    refused(InputRefused, 65, "keeps anything to learn within 12 tokens", job)
    assert not (tmp_path / "tuned").exists()
    copy = tmp_path / "plain"
    copy.mkdir()
    for path in decoder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    edit_json(copy / "tokenizer_config.json", chat_template=None)
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    rows = [{"messages": turns}, {"messages": [*turns, *turns]}]
    refused(InputRefused, 65, "has no chat template", lambda: tuned(copy, rows))
