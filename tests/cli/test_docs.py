"""The generated pages are what the code says today."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.cli import error_table, reference
from edgekit.cli.group import verb_names
from edgekit.errors import all_errors

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(
    ("page", "module"), [("cli.md", reference), ("errors.md", error_table)], ids=["cli", "errors"]
)
def test_page_is_fresh(page: str, module: object) -> None:
    name = getattr(module, "__name__", "")
    fresh = module.markdown()  # type: ignore[attr-defined]
    assert (DOCS / page).read_text(encoding="utf-8") == fresh, (
        f"stale: python -m {name} > docs/{page}"
    )


def test_every_verb_has_its_help_on_the_page() -> None:
    page = (DOCS / "cli.md").read_text(encoding="utf-8")
    for name in verb_names():
        assert f"## edgekit {name}\n" in page
    assert "## edgekit runner build\n" in page


def test_every_error_class_is_on_the_page() -> None:
    page = (DOCS / "errors.md").read_text(encoding="utf-8")
    for cls in all_errors()[1:]:
        if cls.__module__ == "edgekit.errors":
            assert f"| `{cls.code}` | {cls.exit_status} | `{cls.__name__}` |" in page


def test_codes_are_unique() -> None:
    codes = [cls.code for cls in all_errors()]
    assert len(codes) == len(set(codes))
