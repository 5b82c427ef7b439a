"""Several processes of one job, as torchrun or ``accelerate launch`` start them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


def processes() -> int:
    """How many work on this job."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    """Whether this process is the one that writes and reports."""
    return int(os.environ.get("RANK", "0")) == 0


@contextmanager
def first_goes_first() -> Iterator[None]:
    """The others wait until the first process has done the block, and then find what it kept."""
    if processes() == 1:
        yield
        return
    import torch
    from accelerate import PartialState

    cpu = not torch.cuda.is_available()
    state = PartialState(cpu=cpu, **({"backend": "gloo"} if cpu else {}))
    with state.main_process_first():
        yield
