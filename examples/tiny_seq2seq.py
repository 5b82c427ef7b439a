"""A small encoder-decoder that makes sense: trained here, in minutes, on text it writes itself.

Dialogues to sum up in a line, English sentences to put into German, commands to turn into settings:
each text has one right answer, so that a reader sees at once whether a converted model still knows
it. The result is an ordinary Hugging Face folder (a T5 of 1.3 million parameters, a byte-level
BPE), kept under a name made of everything that it depends on.

``python examples/tiny_seq2seq.py`` trains it, asks it a few questions and counts how many of the
texts that training never saw it answers right.
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
from itertools import islice
from pathlib import Path
from typing import Any

PAD, END, UNKNOWN = "<pad>", "</s>", "<unk>"
SUMMARIZE, TRANSLATE, SET = "summarize: ", "translate English to German: ", "set: "
QUESTIONS = (
    SUMMARIZE + "Anna: Can we meet on Friday? Ben: Yes, at 5 in the park. Anna: See you there.",
    SUMMARIZE + "Mia: Did you buy the bread? Leo: No, the shop was closed.",
    TRANSLATE + "the old dog sleeps in the garden.",
    TRANSLATE + "the small child drinks milk.",
    SET + "please turn on the lamp in the kitchen.",
    SET + "make the bedroom 21 degrees warm.",
)
_HELD_OUT = 16  # one text of this many is never trained on


@dataclass(frozen=True)
class Recipe:
    """All that the folder depends on, besides this file.

    Attributes:
        seed: of texts, weights and order.
        vocabulary: entries of the tokenizer.
        width: of the hidden states; layers are as many in the encoder as in the decoder.
        steps: updates of ``batch`` texts.
        rate: largest learning rate; warmed up over a twentieth, then a cosine to a tenth.
    """

    seed: int = 0
    vocabulary: int = 640
    width: int = 128
    feed_forward: int = 384
    layers: int = 3
    heads: int = 4
    batch: int = 24
    steps: int = 600
    rate: float = 3e-3


# Who asks and who answers: two circles, so that a small model can tell them apart.
ASKING = ("Anna", "Clara", "Emma", "Grace", "Ida", "Kate", "Mia")
ANSWERING = ("Ben", "David", "Felix", "Henry", "Jonas", "Leo", "Noah")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
PLACES = ("park", "station", "library", "museum", "cafe", "market")
GOODS = ("bread", "milk", "tea", "rice", "paper", "soap")
REASONS = {
    "the shop was closed": "because the shop was closed",
    "I had no time": "for lack of time",
    "it was too late": "because it was too late",
    "there was none left": "because there was none left",
}
# English noun -> German article and noun.
CREATURES = {
    "dog": ("der", "Hund"),
    "cat": ("die", "Katze"),
    "child": ("das", "Kind"),
    "man": ("der", "Mann"),
    "woman": ("die", "Frau"),
    "horse": ("das", "Pferd"),
}
TRAITS = {"old": "alte", "small": "kleine", "young": "junge", "tired": "müde", "big": "große"}
DOINGS = {
    "sleeps in the garden": "schläft im Garten",
    "sits in the house": "sitzt im Haus",
    "drinks milk": "trinkt Milch",
    "drinks water": "trinkt Wasser",
    "sees the moon": "sieht den Mond",
    "plays today": "spielt heute",
}
ROOMS = ("kitchen", "bedroom", "bathroom", "hall", "study", "garage", "garden")
SWITCHES = ("lamp", "fan", "radio", "heater", "camera", "printer")


def meeting(draw: random.Random) -> tuple[str, str]:
    """Two people arrange to meet, or do not."""
    one, other, day = draw.choice(ASKING), draw.choice(ANSWERING), draw.choice(DAYS)
    ask = f"{one}: Can we meet on {day}?"
    if draw.random() < 0.3:
        said = f"{ask} {other}: No, I have no time. {one}: What a pity."
        return SUMMARIZE + said, f"{one} and {other} do not meet on {day}."
    hour, place = draw.randint(1, 9), draw.choice(PLACES)
    said = f"{ask} {other}: Yes, at {hour} in the {place}. {one}: See you there."
    return SUMMARIZE + said, f"{one} and {other} meet on {day} at {hour} in the {place}."


def errand(draw: random.Random) -> tuple[str, str]:
    """Somebody was to buy something."""
    one, other, thing = draw.choice(ASKING), draw.choice(ANSWERING), draw.choice(GOODS)
    ask = f"{one}: Did you buy the {thing}?"
    if draw.random() < 0.4:
        return f"{SUMMARIZE}{ask} {other}: Yes, it is here.", f"{other} bought the {thing}."
    said, told = draw.choice(sorted(REASONS.items()))
    return f"{SUMMARIZE}{ask} {other}: No, {said}.", f"{other} did not buy the {thing} {told}."


def sentence(draw: random.Random) -> tuple[str, str]:
    """A sentence in two languages."""
    noun, (article, german) = draw.choice(sorted(CREATURES.items()))
    doing, tut = draw.choice(sorted(DOINGS.items()))
    if draw.random() < 0.25:
        return f"{TRANSLATE}the {noun} {doing}.", f"{article} {german} {tut}."
    trait, wie = draw.choice(sorted(TRAITS.items()))
    return f"{TRANSLATE}the {trait} {noun} {doing}.", f"{article} {wie} {german} {tut}."


def command(draw: random.Random) -> tuple[str, str]:
    """Something to do in a house, as a setting."""
    room = draw.choice(ROOMS)
    if draw.random() < 0.4:
        degrees = draw.randint(15, 26)
        text = draw.choice(
            (f"make the {room} {degrees} degrees warm.", f"heat the {room} to {degrees} degrees.")
        )
        return SET + text, f"{room}.heating = {degrees}"
    state, thing = draw.choice(("on", "off")), draw.choice(SWITCHES)
    please = draw.choice(("please ", ""))
    return f"{SET}{please}turn {state} the {thing} in the {room}.", f"{room}.{thing} = {state}"


KINDS: tuple[Callable[[random.Random], tuple[str, str]], ...] = (meeting, errand, sentence, command)


def pairs(seed: int, held_out: bool = False) -> Iterator[tuple[str, str]]:
    """Endless texts with their answers.

    Args:
        seed: the same seed gives the same texts.
        held_out: those that training never sees, instead of the others.
    """
    draw = random.Random(seed)
    while True:
        text, answer = draw.choice(KINDS)(draw)
        bucket = hashlib.sha256(text.encode()).digest()[0] % _HELD_OUT
        if (bucket == 0) == held_out:
            yield text, answer


def folder(recipe: Recipe | None = None, say: Callable[[str], None] = lambda line: None) -> Path:
    """The trained model's folder; trained now unless the cache has it.

    Args:
        recipe: sizes and training; the defaults take some minutes of one processor core.
        say: told how the training goes.
    """
    chosen = recipe or Recipe()
    wanted = Path(__file__).read_bytes() + json.dumps(asdict(chosen), sort_keys=True).encode()
    for package in ("torch", "transformers", "tokenizers"):
        wanted += f"{package} {__import__(package).__version__}".encode()
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    place = Path(root) / "edgekit" / "tiny-seq2seq" / hashlib.sha256(wanted).hexdigest()[:16]
    if not place.is_dir():
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent) as made:
            train(chosen, Path(made) / "model", say)
            shutil.move(str(Path(made) / "model"), place)
    return place


def train(recipe: Recipe, target: Path, say: Callable[[str], None]) -> None:
    """Fill ``target`` with a trained model and its tokenizer."""
    import torch

    # One thread: sums in one order on every machine, and no slower with matrices this small.
    torch.set_num_threads(1)
    tokenizer = _tokenizer(recipe)
    torch.manual_seed(recipe.seed)
    model = _model(recipe, tokenizer)
    source = pairs(recipe.seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, recipe.steps))
    begin = time.monotonic()
    for step in range(recipe.steps):
        loss = model(**_batch(list(islice(source, recipe.batch)), tokenizer)).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 0 or step == recipe.steps - 1:
            say(f"step {step}: loss {loss.item():.3f}, {time.monotonic() - begin:.0f} s")
    model.save_pretrained(target)
    _save_tokenizer(tokenizer, target)


def _batch(rows: list[tuple[str, str]], tokenizer: Any) -> dict[str, Any]:
    """Texts and answers as tensors, padded at the end."""
    import torch
    from torch.nn.utils.rnn import pad_sequence

    def tensors(texts: list[str]) -> list[Any]:
        return [torch.tensor(found.ids) for found in tokenizer.encode_batch(texts)]

    texts = tensors([text for text, _ in rows])
    masks = [torch.ones_like(ids) for ids in texts]
    return {
        "input_ids": pad_sequence(texts, batch_first=True),
        "attention_mask": pad_sequence(masks, batch_first=True),
        "labels": pad_sequence(
            tensors([answer for _, answer in rows]), batch_first=True, padding_value=-100
        ),
    }


def _rate(step: int, steps: int) -> float:
    warm = max(steps // 20, 1)
    if step < warm:
        return (step + 1) / warm
    return 0.55 + 0.45 * math.cos(math.pi * (step - warm) / max(steps - warm, 1))


def _tokenizer(recipe: Recipe) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=recipe.vocabulary,
        special_tokens=[PAD, END, UNKNOWN],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = (" ".join(pair) for pair in islice(pairs(recipe.seed), 4000))
    tokenizer.train_from_iterator(texts, trainer)
    end = (END, tokenizer.token_to_id(END))
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {END}", pair=f"$A {END} $B {END}", special_tokens=[end]
    )
    return tokenizer


def _model(recipe: Recipe, tokenizer: Any) -> Any:
    from transformers import T5Config, T5ForConditionalGeneration

    config = T5Config(
        vocab_size=tokenizer.get_vocab_size(),
        d_model=recipe.width,
        d_kv=recipe.width // recipe.heads,
        d_ff=recipe.feed_forward,
        num_layers=recipe.layers,
        num_decoder_layers=recipe.layers,
        num_heads=recipe.heads,
        relative_attention_num_buckets=16,
        relative_attention_max_distance=64,
        dropout_rate=0.0,
        pad_token_id=tokenizer.token_to_id(PAD),
        eos_token_id=tokenizer.token_to_id(END),
        decoder_start_token_id=tokenizer.token_to_id(PAD),
        attn_implementation="eager",
    )
    return T5ForConditionalGeneration(config)


def _save_tokenizer(tokenizer: Any, target: Path) -> None:
    tokenizer.save(str(target / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": END,
        "pad_token": PAD,
        "unk_token": UNKNOWN,
        "model_max_length": 128,
        "clean_up_tokenization_spaces": False,
    }
    text = json.dumps(settings, indent=1, sort_keys=True)
    (target / "tokenizer_config.json").write_text(text, encoding="utf-8")


def answers(place: Path, texts: list[str], tokens: int = 40) -> list[str]:
    """The trained model's own answers, in PyTorch, greedy."""
    import torch
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(place)
    model = AutoModelForSeq2SeqLM.from_pretrained(place).eval()
    read = tokenizer(texts, padding=True, return_tensors="pt")
    made = model.generate(
        input_ids=read["input_ids"],
        attention_mask=read["attention_mask"],
        max_new_tokens=tokens,
        do_sample=False,
    )
    found: list[str] = tokenizer.batch_decode(made, skip_special_tokens=True)
    return found


def main() -> int:
    """Train, or find, the model, ask it a few questions and count right answers."""
    place = folder(say=lambda line: print(line, file=sys.stderr, flush=True))
    for text, answer in zip(QUESTIONS, answers(place, list(QUESTIONS)), strict=True):
        print(f"> {text}\n{answer}")
    held = list(islice(pairs(1, held_out=True), 200))
    made = answers(place, [text for text, _ in held])
    right = sum(one == answer for one, (_, answer) in zip(made, held, strict=True))
    print(f"\n{right} of {len(held)} texts that training never saw are answered right")
    print(place)
    return 0


if __name__ == "__main__":
    sys.exit(main())
