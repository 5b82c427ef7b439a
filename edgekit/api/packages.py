"""A package that an extra brings and that is not here is the user's to install, not a bug."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from edgekit.doctor.packages import explain_import_error


@contextmanager
def packages_present() -> Iterator[None]:
    """Turn the ImportError of a package that an extra brings into its typed error."""
    try:
        yield
    except ImportError as error:
        explained = explain_import_error(error)
        if explained is None:
            raise
        raise explained from error
