"""What a written answer is worth beside the one that was wanted: exact match, ROUGE, chrF, BLEU."""

from __future__ import annotations

import numpy as np

from edgekit.scoring.kinds import Mark
from edgekit.scoring.metrics import Matrix, Metric, Weights, mean_of

FIELDS = (
    *("exact", "ROUGE-L", "chrF"),
    *(f"right {n}-grams" for n in range(1, 5)),
    *(f"{n}-grams" for n in range(1, 5)),
    *("words", "wanted words"),
)
# BLEU's counts: right and all n-grams of 1 to 4 words, and both lengths.
_BLEU = 3


def judged(found: str, wanted: str) -> Mark:
    """An answer's numbers, as many as ``FIELDS``; whole words of both are kept for examples."""
    from rouge_score.rouge_scorer import RougeScorer
    from sacrebleu.metrics import BLEU, CHRF

    exact = float(" ".join(found.split()) == " ".join(wanted.split()))
    rouge = RougeScorer(["rougeL"]).score(wanted, found)["rougeL"].fmeasure
    chrf = CHRF().sentence_score(found, [wanted]).score / 100
    bleu = BLEU(effective_order=True).sentence_score(found, [wanted])
    counts = [*bleu.counts, *bleu.totals, bleu.sys_len, bleu.ref_len]
    values = (exact, rouge, chrf, *(float(count) for count in counts))
    return Mark(values, found, wanted, bool(exact))


def bleu(marks: Matrix, weights: Weights | None = None) -> float:
    """BLEU of all rows together, as sacreBLEU has it, of 1."""
    from sacrebleu.metrics import BLEU

    ones = np.ones(len(marks)) if weights is None else weights
    sums = [round(float(value)) for value in ones @ marks[:, _BLEU:]]
    found = BLEU.compute_bleu(sums[:4], sums[4:8], sums[8], sums[9])
    return float(found.score) / 100


METRICS = (
    mean_of("exact match", 0, share=True),
    mean_of("ROUGE-L", 1),
    mean_of("chrF", 2),
    Metric("BLEU", bleu, bleu),
)
