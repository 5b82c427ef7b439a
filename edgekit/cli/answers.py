"""Shows the answers of ``edgekit run`` to a person, or as one JSON document, as they arrive."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from edgekit.cli.output import Output

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgekit.api import Answer, Bundle

COMPARED = 200
MATRIX = 12
FIRST_NUMBERS = 6


def show(output: Output, bundle: Bundle, replies: Iterable[Answer], top_k: int) -> None:
    """Print every answer when it comes; embeddings are compared at the end.

    Args:
        output: where to.
        bundle: what answers; it has its runtime loaded.
        replies: the answers, in order.
        top_k: labels to show for a text.
    """
    near = Neighbours()
    if output.as_json:
        head = {"bundle": str(bundle.path), "task": bundle.manifest.task}
        output.begin_list({**head, "runtime": bundle.loaded[0]}, "answers")
    for number, reply in enumerate(replies, 1):
        near.add(reply)
        if output.as_json:
            output.add(reply)
        else:
            _one(output, number, reply, bundle, top_k)
    if output.as_json:
        closest = near.closest()
        output.end_list({} if closest is None else {"closest": closest})
    else:
        near.show(output)


def _one(output: Output, number: int, reply: Answer, bundle: Bundle, top_k: int) -> None:
    """One answer by the fields it has; a task may bring new ones."""
    title = f"[{number}] {shorten(reply.get('text', ''))}"
    if "embedding" in reply:
        output.text(f"{title}\n    {_numbers(reply['embedding'])}")
    elif "labels" in reply:
        output.text(title)
        pairs = [(entry["label"], entry["score"]) for entry in reply["labels"][:top_k]]
        _bars(output, pairs)
    elif "choices" in reply:
        output.text(title)
        _bars(output, [(entry["choice"], entry["score"]) for entry in reply["choices"]])
    elif "answers" in reply:
        output.text(title)
        _spans(output, reply)
    elif "entities" in reply:
        output.text(title)
        _entities(output, reply["entities"])
    elif "masks" in reply:
        output.text(title)
        _fills(output, reply, bundle.mask_token or "")
    elif "features" in reply:
        output.text(title)
        for token, vector in zip(reply["tokens"], reply["features"], strict=True):
            output.text(f"    {token:<16} {_numbers(vector)}")
    else:
        rest = {name: value for name, value in reply.items() if name != "text"}
        output.text(title)
        for name, value in rest.items():
            output.text(f"    {name}: {value}")


def shorten(text: str, width: int = 72) -> str:
    """The text on one line, cut where it gets too long."""
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 3] + "..."


def _numbers(vector: list[float]) -> str:
    first = " ".join(f"{value:+.4f}" for value in vector[:FIRST_NUMBERS])
    norm = sum(value * value for value in vector) ** 0.5
    dots = " ..." if len(vector) > FIRST_NUMBERS else ""
    return f"{first}{dots}  ({len(vector)} numbers, norm {norm:.4f})"


def _bars(output: Output, pairs: list[tuple[str, float]]) -> None:
    width = max((len(name) for name, _ in pairs), default=0)
    for name, score in pairs:
        output.text(f"    {name:<{width}}  {output.bar(score)} {score:6.1%}")


def _spans(output: Output, reply: Answer) -> None:
    """Answers with their place in the context, and the score that it does not hold one."""
    rows = [
        (f"{shorten(entry['answer'], 48)}  ({entry['start']}-{entry['end']})", entry["score"])
        for entry in reply["answers"]
    ]
    _bars(output, [*rows, ("no answer", reply["no_answer"])])


def _entities(output: Output, entities: list[dict[str, Any]]) -> None:
    if not entities:
        output.text("    no entities")
        return
    names = [f"{shorten(entity['word'], 40)}  {entity['label']}" for entity in entities]
    width = max(map(len, names))
    for name, entity in zip(names, entities, strict=True):
        place = f"{entity['start']}-{entity['end']}"
        output.text(f"    {name:<{width}}  {entity['score']:6.1%}  ({place})")


def _fills(output: Output, reply: Answer, mask: str) -> None:
    """Completed sentences; with several masks, the others are filled with their best token."""
    best = [fills[0]["token"] for fills in reply["masks"]]
    for place, fills in enumerate(reply["masks"]):
        if len(reply["masks"]) > 1:
            output.text(f"    mask {place + 1}")
        rows = []
        for fill in fills:
            tokens = [*best[:place], fill["token"], *best[place + 1 :]]
            rows.append((complete(reply["text"], mask, tokens), fill["score"]))
        _bars(output, rows)


def complete(text: str, mask: str, tokens: list[str]) -> str:
    """The text with each mask replaced by its token; a ``##`` piece joins the word before it."""
    for token in tokens:
        before, found, after = text.partition(mask)
        if not (mask and found):
            break
        piece = token.removeprefix("##")
        joined = before.rstrip() if piece != token else before
        text = joined + piece + after
    return text


class Neighbours:
    """Compares the embeddings among the first answers; later ones are not kept."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._vectors: list[list[float]] = []
        self._more = False

    def add(self, reply: Answer) -> None:
        """Remember an embedding while there are few."""
        if "embedding" not in reply:
            return
        if len(self._vectors) == COMPARED:
            self._more = True
            return
        self._texts.append(reply["text"])
        self._vectors.append(reply["embedding"])

    def closest(self) -> dict[str, Any] | None:
        """The nearest two texts by index (from 0) with their cosine; None with fewer than two."""
        import numpy as np

        if len(self._vectors) < 2 or self._more:
            return None
        similarity = self._similarity()
        np.fill_diagonal(similarity, -np.inf)
        first, second = np.unravel_index(int(similarity.argmax()), similarity.shape)
        pair = sorted((int(first), int(second)))
        return {"pair": pair, "cosine": float(similarity[first, second])}

    def show(self, output: Output) -> None:
        """The similarity matrix when it is small, and the closest pair."""
        closest = self.closest()
        if closest is None:
            return
        count = len(self._vectors)
        if count <= MATRIX:
            names = [f"[{index + 1}]" for index in range(count)]
            cells = [[f"{value:.3f}" for value in row] for row in self._similarity()]
            rows = [[name, *row] for name, row in zip(names, cells, strict=True)]
            output.table(["cosine", *names], rows, right=range(1, count + 1))
        first, second = closest["pair"]
        output.text(
            f"closest: [{first + 1}] and [{second + 1}], cosine {closest['cosine']:.3f}\n"
            f"    {shorten(self._texts[first])}\n    {shorten(self._texts[second])}"
        )

    def _similarity(self) -> NDArray[np.float64]:
        import numpy as np

        matrix = np.asarray(self._vectors, dtype=np.float64)
        matrix /= np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-12)
        return np.asarray(matrix @ matrix.T, dtype=np.float64)
