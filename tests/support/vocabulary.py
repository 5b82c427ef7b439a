# ruff: noqa: RUF001 (letters of other alphabets are the point)
"""A small WordPiece tokenizer that knows ordinary text of several languages."""

from __future__ import annotations

import functools
import string
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

SPECIALS = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}

SENTENCES = (
    "The train to the coast leaves at seven in the morning.",
    "She wrote a short letter to her brother and posted it the same day.",
    "I really liked this film, the music was wonderful and the story was good.",
    "The battery is bad and the screen is terrible, I want my money back.",
    "Water boils at one hundred degrees at sea level.",
    "How do I change the language of my phone?",
    "A man is playing a guitar in the street while a dog sleeps.",
    "The capital of France is Paris, and it is a large city.",
    "Please call me when you are at home tonight, it is not urgent.",
    "They have been working on the new bridge for three years.",
    "Das Wetter ist heute sehr schön, wir gehen in den Garten.",
    "Ich habe gestern ein gutes Buch über die Geschichte der Stadt gelesen.",
    "Le chat dort sur la chaise près de la fenêtre de la cuisine.",
    "Nous avons mangé une très bonne soupe dans un petit restaurant.",
    "El tren llega tarde otra vez porque la estación está cerrada.",
    "Me gusta mucho la música que tocas en tu casa por la noche.",
    "Il treno per Roma parte alle otto dal binario numero tre.",
    "Hoje de manhã o mar estava calmo e a praia quase vazia.",
    "Сегодня хорошая погода, и дети играют в саду у дома.",
    "Книга лежит на столе рядом с окном в большой комнате.",
    "Ο καφές είναι ζεστός και το πρωί είναι ήσυχο στο χωριό.",
    "الكتاب على الطاولة والباب مفتوح في البيت الكبير",
    "आज मौसम अच्छा है और बच्चे बाहर खेल रहे हैं",
    "今天天气很好,我们去公园散步吧。",
    "電車は朝七時に駅を出ます。とても静かです。",
    "오늘은 날씨가 좋아서 공원에서 산책을 했습니다.",
)

# Every letter alone and inside a word, so that unseen words fall into letters and not into [UNK].
_ALPHABET = (
    string.ascii_lowercase
    + string.digits
    + "".join(map(chr, range(0x0430, 0x0450)))  # Cyrillic
    + "".join(map(chr, range(0x03B1, 0x03CA)))  # Greek
    + "".join(map(chr, range(0x0621, 0x064B)))  # Arabic
    + "".join(map(chr, range(0x3041, 0x3097)))  # Hiragana
    + "ßøæœðþłđı"
)


@functools.cache
def _tokenizer_json() -> str:
    normalizer = normalizers.BertNormalizer(lowercase=True)
    splitter = pre_tokenizers.BertPreTokenizer()
    words = set()
    for sentence in SENTENCES:
        pieces = splitter.pre_tokenize_str(normalizer.normalize_str(sentence))
        words |= {word for word, _ in pieces}
    # Counted here: the library's trainer breaks ties differently in each process.
    parts = {letter for word in words for letter in word} | set(_ALPHABET + string.punctuation)
    parts |= {f"##{letter}" for letter in parts if letter not in string.punctuation}
    for word in words:
        parts |= {word, word[:2], word[:3], word[:4], f"##{word[-3:]}", f"##{word[-4:]}"}
        parts |= {f"##{word[i : i + 2]}" for i in range(1, len(word) - 1)}
    ids = {piece: i for i, piece in enumerate([*SPECIALS.values(), *sorted(parts)])}
    cls, sep = SPECIALS["cls"], SPECIALS["sep"]
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token=SPECIALS["unk"]))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = splitter
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(list(SPECIALS.values()))
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{cls} $A {sep}",
        pair=f"{cls} $A {sep} $B:1 {sep}:1",
        special_tokens=[(name, ids[name]) for name in (cls, sep)],
    )
    return str(tokenizer.to_str())


def wordpiece() -> Tokenizer:
    """A fresh copy of the tokenizer; the vocabulary is built once a process."""
    return Tokenizer.from_str(_tokenizer_json())


def save_wordpiece(folder: Path) -> Tokenizer:
    """Write ``tokenizer.json`` into a folder."""
    tokenizer = wordpiece()
    tokenizer.save(str(folder / "tokenizer.json"))
    return tokenizer
