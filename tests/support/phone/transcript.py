"""What a phone answered to each question, as ``edgekit doctor --record`` writes it down."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "transcripts"
_PROPERTY = re.compile(r"^\[([^\]]*)\]: \[([^\]]*)\]$", re.MULTILINE)


@dataclass(frozen=True)
class Answer:
    """One command's status and outputs."""

    status: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Transcript:
    """Every question with its answer."""

    api: int
    answers: dict[tuple[str, ...], Answer]

    def properties(self) -> dict[str, str]:
        """All of getprop, from the whole list and from single questions."""
        found = {}
        if (whole := self.answers.get(("getprop",))) is not None:
            found = dict(_PROPERTY.findall(whole.stdout))
        for words, answer in self.answers.items():
            if words[0] == "getprop" and len(words) == 2 and answer.status == 0:
                found.setdefault(words[1], answer.stdout.removesuffix("\n"))
        return found

    def files(self) -> dict[str, Answer]:
        """Path -> what ``cat`` of it gave."""
        return {
            words[1]: answer
            for words, answer in self.answers.items()
            if words[0] == "cat" and len(words) == 2
        }

    def settings(self) -> dict[tuple[str, str], str]:
        """(namespace, key) -> value of the settings that are set."""
        return {
            (words[2], words[3]): answer.stdout.strip()
            for words, answer in self.answers.items()
            if words[:2] == ("settings", "get") and answer.stdout.strip() not in {"", "null"}
        }


def load(path: Path) -> Transcript:
    """Read a transcript."""
    data = json.loads(path.read_text(encoding="utf-8"))
    assert data["schema"] == 1, path
    answers = {
        tuple(each["words"]): Answer(each["status"], each["stdout"], each["stderr"])
        for each in data["answers"]
    }
    return Transcript(data["api"], answers)


def of_api(api: int) -> Transcript:
    """The written transcript of an API level: 24, 30 or 35."""
    return load(FOLDER / f"api{api}.json")
