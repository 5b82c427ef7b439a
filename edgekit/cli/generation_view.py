"""What inspect, verify and export say of a bundle that generates text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from edgekit.cli.output import Cell, Output

if TYPE_CHECKING:
    from edgekit.bundle.manifest import Generation

NONE = "-"
_LISTED = 8


def hops(output: Output, records: Sequence[Mapping[str, Any]], verdicts: Sequence[Cell]) -> None:
    """One row a hop of a decoder's ladder, each token compared with the eager model's.

    ``KL`` is in nats a token; ``goldens`` the worst cosine against what the same file gave where it
    was made; ``greedy`` the share of greedy texts that is the same.
    """
    columns = ["hop", "artifact", "texts", "tokens", "largest difference", "KL", "worst KL"]
    columns += ["same token", "perplexity", "greedy", "goldens", "verdict"]
    rows = [[*_hop(record), verdict] for record, verdict in zip(records, verdicts, strict=True)]
    output.table(columns, rows, right=range(2, 11))


def _hop(hop: Mapping[str, Any]) -> list[Cell]:
    tokens = hop.get("tokens")
    first = [str(hop["hop"]), str(hop["artifact"]), str(hop["samples"])]
    same = NONE if hop.get("same_artifact") is None else f"{hop['same_artifact']:.6f}"
    if tokens is None:  # a decoder that gave no numbers at all
        return [*first, *[NONE] * 7, same]
    ratio, greedy = tokens["perplexity_ratio"], tokens["greedy"]
    return [
        *first,
        str(tokens["count"]),
        f"{tokens['max_difference']:.2g}",
        f"{tokens['divergence']:.2g}",
        f"{tokens['worst_divergence']:.2g}",
        f"{hop['agreement']:.1%}",
        NONE if ratio is None else f"x {ratio:.3f}",
        NONE if greedy is None else f"{greedy:.1%}",
        same,
    ]


def facts(generation: Generation) -> dict[str, str]:
    """Lines about generation by their headings; empty ones are left out by the caller."""
    cache, sampling = generation.cache, generation.sampling
    ends = [str(one) for one in generation.eos_token_ids]
    more = ", ..." if len(ends) > _LISTED else ""
    way = "greedy"
    if sampling.temperature:
        way = f"temperature {sampling.temperature:g}, top-k {sampling.top_k or 'all'}, "
        way += f"top-p {sampling.top_p:g}"
    if sampling.repetition_penalty != 1:
        way += f", repetition penalty {sampling.repetition_penalty:g}"
    return {
        "context": f"{generation.context} tokens, prompt and answer",
        "cache": f"{cache.bytes / 1e6:.1f} MB when full, {cache.bytes_per_token} bytes a token, "
        f"{cache.kind}, {cache.layers} layers",
        "begins with": NONE if generation.bos_token_id is None else str(generation.bos_token_id),
        "ends with": ", ".join(ends[:_LISTED]) + more if ends else "nothing: only by length",
        "sampling": f"{way}, at most {sampling.max_new_tokens} tokens",
        "chat": "by its template"
        if generation.chat_template
        else "no template: it continues texts",
    }
