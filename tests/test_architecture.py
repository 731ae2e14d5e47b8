"""ARCHITECTURE.md names every module of the program, and no module that is not there."""

from __future__ import annotations

import re
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
_PAGE = (_ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")


def _modules() -> set[str]:
    found = (path.relative_to(_ROOT).as_posix() for path in (_ROOT / "builder").rglob("*.py"))
    return {path for path in found if not path.endswith("/__init__.py")}


def test_every_module_has_one_line() -> None:
    lines = re.findall(r"(?m)^- `(builder/[\w/]+\.py)`: \S", _PAGE)
    assert sorted(lines) == sorted(_modules())


def test_every_path_that_is_named_is_there() -> None:
    paths = re.findall(r"`((?:builder|tests|docs|specs|cache)/[\w./]*)`", _PAGE)
    assert len(paths) > 100
    assert [p for p in paths if "NAME" not in p and not (_ROOT / p).exists()] == []


def test_the_rooms_stand_in_the_order_that_is_checked() -> None:
    import tomllib

    contracts = tomllib.loads((_ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    rooms = re.search(r"(?s)## The import rule\n\n```text\n(.*?)```", _PAGE)
    assert rooms
    assert [line for line in rooms[1].splitlines() if not line.startswith("─")] == layers


def test_what_the_core_may_not_import_is_told_as_it_is_checked() -> None:
    import tomllib

    contracts = tomllib.loads((_ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    forbidden = next(c["forbidden_modules"] for c in contracts if c["type"] == "forbidden")
    told = re.search(r"(?s)it does not import (.*?)\. Both are", _PAGE)
    assert told
    assert re.findall(r"`(\w+)`", told[1]) == forbidden
