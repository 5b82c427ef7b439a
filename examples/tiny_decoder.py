"""A small decoder that makes sense: trained here, in minutes, on text that this script writes.

Arithmetic up to a dozen, dates, commands to a house, small talk: short questions with one right
answer each, so that a reader sees at once whether a converted model still knows them. The result is
an ordinary Hugging Face folder (a Llama of 1.2 million parameters, a byte-level BPE, a chat
template), kept under a name made of everything that it depends on.

``python examples/tiny_decoder.py`` trains it and asks it a few questions.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

BOS, USER, ASSISTANT, END = "<|begin|>", "<|user|>", "<|assistant|>", "<|end|>"
SPECIALS = (BOS, USER, ASSISTANT, END)
TEMPLATE = (
    "{{ '" + BOS + "' }}"
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '" + END + "' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '" + ASSISTANT + "' }}{% endif %}"
)
QUESTIONS = (
    "what is 7 + 5?",
    "what is 12 - 8?",
    "write 3 March 2021 as numbers.",
    "turn on the lamp in the kitchen.",
    "set the heating in the bedroom to 21 degrees.",
    "hello, my name is Anna.",
    "how do you say water in German?",
)
_HELD_OUT = 16  # one text of this many is never trained on
_QUESTION = 0.1  # weight of a token that no answer depends on being able to guess


@dataclass(frozen=True)
class Recipe:
    """All that the folder depends on, besides this file.

    Attributes:
        seed: of texts, weights and order.
        vocabulary: entries of the tokenizer.
        hidden: width; layers, heads and the rest follow the usual names.
        steps: updates of ``batch`` rows of ``length`` tokens.
        rate: largest learning rate; warmed up over a twentieth, then a cosine to a tenth.
    """

    seed: int = 0
    vocabulary: int = 640
    hidden: int = 160
    feed_forward: int = 448
    layers: int = 4
    heads: int = 5
    kv_heads: int = 1
    context: int = 256
    length: int = 96
    batch: int = 12
    steps: int = 1200
    rate: float = 4e-3


NUMBERS = range(13)
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
ROOMS = ["kitchen", "bedroom", "bathroom", "hall", "office", "garage", "garden"]
SWITCHES = ["lamp", "fan", "radio", "heater", "camera", "printer"]
NAMES = (
    *("Anna", "Ben", "Clara", "David", "Emma", "Felix", "Grace"),
    *("Henry", "Ida", "Jonas", "Kate", "Leo", "Mia", "Noah"),
)
WORDS = {
    "German": {"water": "Wasser", "bread": "Brot", "house": "Haus", "dog": "Hund", "day": "Tag"},
    "French": {"water": "eau", "bread": "pain", "house": "maison", "dog": "chien", "day": "jour"},
    "Spanish": {"water": "agua", "bread": "pan", "house": "casa", "dog": "perro", "day": "dia"},
}


def arithmetic(draw: random.Random) -> tuple[str, str]:
    """A sum or a difference that is not negative."""
    a, b = draw.choice(NUMBERS), draw.choice(NUMBERS)
    if draw.random() < 0.5:
        return f"what is {a} + {b}?", f"{a} + {b} = {a + b}."
    a, b = max(a, b), min(a, b)
    return f"what is {a} - {b}?", f"{a} - {b} = {a - b}."


def date(draw: random.Random) -> tuple[str, str]:
    """A date in words, to be written in numbers."""
    day, month, year = draw.randint(1, 28), draw.randint(1, 12), draw.randint(2000, 2030)
    question = f"write {day} {MONTHS[month - 1]} {year} as numbers."
    return question, f"{year}-{month:02d}-{day:02d}"


def command(draw: random.Random) -> tuple[str, str]:
    """Something to do in a house."""
    room, kind = draw.choice(ROOMS), draw.random()
    if kind < 0.5:
        state, thing = draw.choice(("on", "off")), draw.choice(SWITCHES)
        return f"turn {state} the {thing} in the {room}.", f"Done: the {room} {thing} is {state}."
    degrees = draw.randint(15, 26)
    question = f"set the heating in the {room} to {degrees} degrees."
    return question, f"Done: the {room} heating is at {degrees} degrees."


def talk(draw: random.Random) -> tuple[str, str]:
    """A greeting or a word in another language."""
    if draw.random() < 0.4:
        name = draw.choice(NAMES)
        return f"hello, my name is {name}.", f"Hello {name}, how can I help you?"
    language = draw.choice(sorted(WORDS))
    word = draw.choice(sorted(WORDS[language]))
    question = f"how do you say {word} in {language}?"
    return question, f"In {language}, {word} is {WORDS[language][word]}."


KINDS: tuple[Callable[[random.Random], tuple[str, str]], ...] = (arithmetic, date, command, talk)


def dialogues(seed: int, held_out: bool = False) -> Iterator[str]:
    """Endless dialogues of one to three turns, special tokens included.

    Args:
        seed: the same seed gives the same dialogues.
        held_out: those that training never sees, instead of the others.
    """
    draw = random.Random(seed)
    while True:
        turns = [draw.choice(KINDS)(draw) for _ in range(draw.randint(1, 3))]
        said = "".join(f"{USER}{asked}{END}{ASSISTANT}{told}{END}" for asked, told in turns)
        bucket = hashlib.sha256(said.encode()).digest()[0] % _HELD_OUT
        if (bucket == 0) == held_out:
            yield BOS + said


def folder(recipe: Recipe | None = None, say: Callable[[str], None] = lambda line: None) -> Path:
    """The trained model's folder; trained now unless the cache has it.

    Args:
        recipe: sizes and training; the defaults take about four minutes of one processor core.
        say: told how the training goes.
    """
    chosen = recipe or Recipe()
    wanted = Path(__file__).read_bytes() + json.dumps(asdict(chosen), sort_keys=True).encode()
    for package in ("torch", "transformers", "tokenizers"):
        wanted += f"{package} {__import__(package).__version__}".encode()
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    place = Path(root) / "edgekit" / "tiny-decoder" / hashlib.sha256(wanted).hexdigest()[:16]
    if not place.is_dir():
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent) as made:
            train(chosen, Path(made) / "model", say)
            shutil.move(str(Path(made) / "model"), place)
    return place


def train(recipe: Recipe, target: Path, say: Callable[[str], None]) -> None:
    """Fill ``target`` with a trained model, its tokenizer and its chat template."""
    import torch

    # One thread: sums in one order on every machine, and no slower with matrices this small.
    torch.set_num_threads(1)
    tokenizer = _tokenizer(recipe)
    torch.manual_seed(recipe.seed)
    model = _model(recipe, tokenizer)
    rows = _rows(recipe, tokenizer)
    asked, told = tokenizer.token_to_id(USER), tokenizer.token_to_id(ASSISTANT)
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.rate, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, recipe.steps))
    begin = time.monotonic()
    for step in range(recipe.steps):
        batch = torch.tensor([next(rows) for _ in range(recipe.batch)])
        logits = model(input_ids=batch, use_cache=False).logits[:, :-1].flatten(0, 1)
        each = torch.nn.functional.cross_entropy(logits, batch[:, 1:].flatten(), reduction="none")
        weights = _weights(batch, asked, told).flatten()
        loss = (each * weights).sum() / weights.sum()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 0 or step == recipe.steps - 1:
            say(f"step {step}: loss {loss.item():.3f}, {time.monotonic() - begin:.0f} s")
    model.save_pretrained(target)
    _save_tokenizer(tokenizer, target, recipe)


def _rate(step: int, steps: int) -> float:
    warm = max(steps // 20, 1)
    if step < warm:
        return (step + 1) / warm
    return 0.55 + 0.45 * math.cos(math.pi * (step - warm) / max(steps - warm, 1))


def _weights(batch: Any, asked: int, told: int) -> Any:
    """What the guess of each next token counts: questions are random, answers are not."""
    import torch

    turns = (batch == asked).long() - (batch == told).long()
    questions = torch.cumsum(turns, dim=1)[:, :-1] > 0
    return torch.where(questions, _QUESTION, 1.0)


def _rows(recipe: Recipe, tokenizer: Any) -> Iterator[list[int]]:
    """Rows of ``length`` tokens, each from the beginning of a dialogue on."""
    row: list[int] = []
    for text in dialogues(recipe.seed):
        row += tokenizer.encode(text).ids
        if len(row) >= recipe.length:
            yield row[: recipe.length]
            row = []


def _tokenizer(recipe: Recipe) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    digits = pre_tokenizers.Digits(individual_digits=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [digits, pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=recipe.vocabulary,
        special_tokens=list(SPECIALS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = dialogues(recipe.seed)
    tokenizer.train_from_iterator((next(texts) for _ in range(4000)), trainer)
    return tokenizer


def _model(recipe: Recipe, tokenizer: Any) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=recipe.hidden,
        intermediate_size=recipe.feed_forward,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.kv_heads,
        max_position_embeddings=recipe.context,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.token_to_id(BOS),
        eos_token_id=tokenizer.token_to_id(END),
        pad_token_id=tokenizer.token_to_id(END),
        attn_implementation="sdpa",
    )
    return LlamaForCausalLM(config)


def _save_tokenizer(tokenizer: Any, target: Path, recipe: Recipe) -> None:
    tokenizer.save(str(target / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BOS,
        "eos_token": END,
        "pad_token": END,
        "model_max_length": recipe.context,
        "chat_template": TEMPLATE,
        "clean_up_tokenization_spaces": False,
    }
    text = json.dumps(settings, indent=1, sort_keys=True)
    (target / "tokenizer_config.json").write_text(text, encoding="utf-8")


def ask(place: Path, question: str, tokens: int = 40) -> str:
    """The trained model's own answer, in PyTorch, greedy."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(place)
    model = AutoModelForCausalLM.from_pretrained(place).eval()
    ids = tokenizer.apply_chat_template(
        [{"role": "user", "content": question}],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=True,
    )
    made = model.generate(**ids, max_new_tokens=tokens, do_sample=False)
    answer: str = tokenizer.decode(made[0, ids["input_ids"].shape[1] :], skip_special_tokens=True)
    return answer


def main() -> int:
    """Train, or find, the model, and ask it a few questions."""
    place = folder(say=lambda line: print(line, file=sys.stderr, flush=True))
    for question in QUESTIONS:
        print(f"> {question}\n{ask(place, question)}")
    print(f"\n{place}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
