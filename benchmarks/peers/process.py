"""What ``benchmarks.peers.environments`` starts in a tool's own environment."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from benchmarks.peers.answering import tell


def main() -> None:
    """``make NAME SOURCE TARGET CONTEXT`` or ``answer NAME FOLDER CONTEXT THREADS TOKENS ...``."""
    verb, name, *rest = sys.argv[1:]
    peer = importlib.import_module(f"benchmarks.peers.{name}")
    if verb == "make":
        source, target, context = rest
        peer.make(Path(source), Path(target), int(context))
        return
    folder, context, threads, tokens, ids, clock = rest
    feed = peer.open_feed(Path(folder), int(context), int(threads))
    tell(feed, [int(word) for word in ids.split(",")], int(tokens), clock)


if __name__ == "__main__":
    main()
