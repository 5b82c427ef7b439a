"""Summarization: an encoder-decoder with caches, built by ``generation.seq2seq.build``."""

from __future__ import annotations

from edgekit_converters.tasks.text_generation import LABELS, MAY_MISS, OUTPUT, PAIR, head

__all__ = ["LABELS", "MAY_MISS", "OUTPUT", "PAIR", "head"]

AUTO_CLASS = "AutoModelForSeq2SeqLM"
BUILD = "generation.seq2seq.build"
SCHEME = "int8"
# --max-length bounds the text, --max-context the answer.
READS_TEXT = True
