"""What the blocks of a record come to: a row a setting, a row an artifact, one sentence a pair."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from edgekit.bench import energy
from edgekit.bench.record import TIMED, Block, Record, SeriesName, Setting
from edgekit.bench.statistics import Floats, figures, interval, ratio_draws
from edgekit.bench.verdict import FLOOR, QUICK_FLOOR, Verdict, judge

EMULATED = "emulated: not a speed"
HOST = "measured on this computer: not a phone's speed"
IN_APP = "inside an app: copies in and out of Java are timed too, and no load is cold"


def summarise(record: Record) -> dict[str, Any]:
    """Everything that the report shows, from the blocks alone."""
    step = energy.smallest_step(record.blocks)
    return {
        "conditions": conditions(record),
        "latency": [_timed(record, s, step) for s in record.settings if s.series in TIMED],
        "artifacts": [_artifact(record, item.id) for item in record.candidates],
        "left_out": left_out(record),
        "comparison": comparisons(record),
    }


def conditions(record: Record) -> str:
    """What may be concluded from the times, in a few words; empty for a phone and a full run."""
    words = {"emulated": EMULATED, "host": HOST}.get(record.place_kind, "")
    quick = "quick run: not for decisions" if record.plan.quick else ""
    app = IN_APP if record.environment.get("app") is not None else ""
    return "; ".join(part for part in (words, app, quick) if part)


def floor_of(*records: Record) -> float:
    """Least difference that is worth a word: larger when a record is of a quick run."""
    return QUICK_FLOOR if any(record.plan.quick for record in records) else FLOOR


def counted(record: Record, setting: Setting) -> tuple[list[Block], bool]:
    """The blocks that a figure is made of, and whether they count: all of them when none does."""
    valid = record.blocks_of(setting.id)
    return (valid, True) if valid else (record.blocks_of(setting.id, valid=False), False)


def numbers(blocks: Sequence[Block]) -> list[Floats]:
    """The times of some blocks, in ms."""
    return [np.array(b.times.points) for b in blocks if b.times is not None]


def _timed(record: Record, setting: Setting, step: float | None) -> dict[str, Any]:
    blocks, valid = counted(record, setting)
    row: dict[str, Any] = {
        "setting": setting.id,
        "artifact": setting.candidate,
        "series": setting.series,
        "length": setting.length,
        "threads": setting.threads,
        "blocks": len(record.blocks_of(setting.id, valid=False)),
        "valid_blocks": len(record.blocks_of(setting.id)),
        "valid": valid and bool(blocks),
        "speed": record.place_kind != "emulated",
    }
    series = numbers(blocks)
    if not series:
        return row
    count = sum(block.times.count for block in blocks if block.times is not None)
    told = asdict(figures(series, record.plan.seed, n=count))
    # The points stand for the times; the least of all times was kept apart.
    told["minimum"] = min(block.times.minimum for block in blocks if block.times is not None)
    if setting.series == "prefill":
        told["tokens_per_second"] = 1000 * setting.length / told["median"]
    elif setting.series == "decode":
        told["tokens_per_second"] = 1000 / float(np.mean(np.concatenate(series)))
    energy_row = {"said": energy.NOT_TOLD}
    if record.place_kind == "phone":
        energy_row = energy.per_inference(blocks, step)
    return {**row, **told, "energy": energy_row}


def _artifact(record: Record, name: str) -> dict[str, Any]:
    """Loads and memory of one artifact over all its settings."""
    mine = [setting for setting in record.settings if setting.candidate == name]
    blocks = [b for s in mine for b in record.blocks_of(s.id, valid=False)]
    loading = [b for s in mine if s.series == "load" for b in counted(record, s)[0]]
    sure = all(counted(record, s)[1] for s in mine if s.series == "load")
    peak = max((b.memory_kb.get("vm_hwm_kb", 0) for b in blocks), default=0) * 1024
    proportional = max((b.memory_kb.get("pss_kb", 0) for b in blocks), default=0) * 1024
    forecast = record.candidate(name).forecast_bytes
    return {
        "artifact": name,
        "cold_load_ms": _middle([ms for b in loading for ms in b.cold_loads_ms]),
        "cold_loads": sum(len(b.cold_loads_ms) for b in loading),
        "warm_load_ms": _middle([ms for b in loading for ms in b.warm_loads_ms]),
        "warm_loads": sum(len(b.warm_loads_ms) for b in loading),
        "loads_valid": sure,
        "peak_bytes": peak or None,
        "pss_bytes": proportional or None,
        "forecast_bytes": forecast,
        "peak_to_forecast": peak / forecast if peak and forecast else None,
    }


def left_out(record: Record) -> dict[str, Any]:
    """How many blocks do not count, and why, most frequent reason first."""
    bad = [block for block in record.blocks if not block.valid]
    # Figures in a reason differ from block to block; the words before them do not.
    kinds = Counter(reason.partition(":")[0] for block in bad for reason in block.reasons)
    examples: dict[str, str] = {}
    for block in bad:
        for reason in block.reasons:
            examples.setdefault(reason.partition(":")[0], f"{reason} ({block.setting})")
    return {
        "blocks": len(bad),
        "of": len(record.blocks),
        "reasons": [
            {"reason": kind, "blocks": count, "example": examples[kind]}
            for kind, count in kinds.most_common()
        ],
    }


def comparisons(record: Record) -> list[dict[str, Any]]:
    """Every other artifact against the first, over the settings that both have."""
    if record.place_kind == "emulated":
        return []
    first, *others = record.candidates
    measured = [name for name in TIMED if any(s.series == name for s in record.settings)]
    return [_pair(record, first.id, other.id, name) for other in others for name in measured]


def _pair(record: Record, first: str, second: str, series: SeriesName) -> dict[str, Any]:
    mine = _cells(record, first, series)
    verdicts: dict[str, Verdict] = {}
    draws: list[Floats] = []
    logs: list[float] = []
    for key, setting in _cells(record, second, series).items():
        if key not in mine:
            continue
        blocks = [numbers(record.blocks_of(item.id)) for item in (mine[key], setting)]
        found = judge(*blocks, floor=floor_of(record), seed=record.plan.seed)
        threads = "best threads of each" if key[1] is None else f"{key[1]} threads"
        verdicts[f"{key[0]} tokens, {threads}"] = found
        if found.ratio is not None:
            logs.append(math.log(found.ratio))
            draws.append(np.log(ratio_draws(blocks[0], blocks[1], record.plan.seed)))
    row: dict[str, Any] = {
        "first": first,
        "second": second,
        "series": series,
        "verdicts": {name: verdict.as_dict() for name, verdict in verdicts.items()},
        "ratio": None,
    }
    if logs:
        low, high = interval(np.exp(np.mean(draws, axis=0)))
        row |= {"ratio": math.exp(sum(logs) / len(logs)), "low": low, "high": high}
    texts = [record.candidate(name).texts for name in (second, first)]
    more = f", for {texts[0]} texts against {texts[1]}" if texts[0] != texts[1] else ""
    return {**row, "sentence": _sentence(row, verdicts) + more}


def _cells(
    record: Record, candidate: str, series: SeriesName
) -> dict[tuple[int, int | None], Setting]:
    # With counts of their own the artifacts are compared at what is best for each.
    auto = record.plan.threads_auto
    return {
        (setting.length, None if auto else setting.threads): setting
        for setting in record.settings
        if setting.candidate == candidate and setting.series == series
    }


def _sentence(row: dict[str, Any], verdicts: dict[str, Verdict]) -> str:
    pair = f"{row['second']} against {row['first']}"
    if row["series"] != "latency":
        pair += f", {row['series']}"
    if row["ratio"] is None:
        why = "no setting in common" if not verdicts else "too few valid blocks"
        return f"{pair}: cannot tell ({why})"
    words = Counter(verdict.word for verdict in verdicts.values())
    if len(words) == 1:
        said: str = next(iter(words))
    else:
        said = ", ".join(f"{word} in {count}" for word, count in words.most_common())
        said += f" of {len(verdicts)} settings"
    return (
        f"{pair}: {said}; {row['ratio']:.2f}x the time "
        f"(95 % interval {row['low']:.2f} to {row['high']:.2f})"
    )


def _middle(values: Sequence[float]) -> float | None:
    return float(np.median(values)) if values else None
