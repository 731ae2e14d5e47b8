"""The pages under docs/reference say what the program does: every key, every status."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from builder import errors
from builder.lock.model import Lock, LockedArchitecture, LockedBase, LockedPackage
from builder.packages import IndexReference, Snapshot
from builder.spec import json_schema, load_spec

_PAGES = Path(__file__).parents[2] / "docs" / "reference"


def _page(name: str) -> str:
    return (_PAGES / f"{name}.md").read_text()


def _section(page: str, title: str) -> str:
    """Return the text below the heading TITLE up to the next heading; the page's own title for ""."""
    pattern = rf"(?ms)^#+ {re.escape(title)}$(.*?)(?=^#|\Z)" if title else r"(?ms)^# [^\n]+$(.*?)(?=^##)"
    found = re.search(pattern, page)
    assert found, f"no section {title}"
    # Comments of examples begin with # too.
    return found[1]


def _keys(schema: dict[str, Any], title: str = "") -> list[tuple[str, str, str]]:
    found = []
    for key, inner in schema.get("properties", {}).items():
        found += [(title, key, inner["description"]), *_keys(inner, key)]
    inners = [schema["items"]] if "items" in schema else []
    for inner in [*inners, *schema.get("anyOf", [])]:
        found += _keys(inner, title)
    return found


@pytest.mark.parametrize(("section", "key", "text"), _keys(dict(json_schema())))
def test_every_key_of_the_spec_is_told_in_its_section(section: str, key: str, text: str) -> None:
    page = re.sub(r"(?ms)^```.*?^```$", "", _page("spec"))
    rows = [row for row in _section(page, section).splitlines() if row.startswith(f"| `{key}` |")]
    assert len(rows) == 1
    assert rows[0].endswith(f"| {text} |")


def test_examples_on_the_page_of_the_spec_are_specs() -> None:
    examples = re.findall(r"(?ms)^```yaml\n(.*?)^```$", _page("spec"))
    assert len(examples) == 2
    assert load_spec(examples[1], "web.yaml").spec.image == "web"


@pytest.mark.parametrize(
    ("section", "kind"),
    [
        ("The whole", Lock),
        ("base", LockedBase),
        ("snapshots", Snapshot),
        ("indexes", IndexReference),
        ("architectures", LockedArchitecture),
        ("packages", LockedPackage),
    ],
)
def test_every_key_of_the_lock_is_told_in_its_section(section: str, kind: type) -> None:
    firsts = re.findall(r"(?m)^\| (`.*?) \|", _section(_page("lock"), section))
    told = [key for first in firsts for key in re.findall(r"`(\w+)`", first)]
    assert sorted(told) == sorted(kind.__struct_fields__)  # type: ignore[attr-defined]  # a Struct


def test_the_table_of_statuses_equals_the_classes() -> None:
    rows = re.findall(r"(?m)^\| (\d+) \| `(\w+)` \| .+ \| `error: .+` \|$", _page("errors"))
    classes = [
        (str(kind.exit_status), name)
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.ImgbuildError) and name != "ImgbuildError"
    ]
    assert sorted(rows) == sorted(classes)
