"""ARCHITECTURE.md names every module of the program, and no module that is not there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from tests.papers import modules

_ROOT = Path(__file__).resolve().parents[1]
_PAGE = (_ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")


def test_every_module_has_one_line() -> None:
    lines = re.findall(r"(?m)^- `(builder/[\w/]+\.py)`: \S", _PAGE)
    assert sorted(lines) == modules(), "run: python -m tests.papers"


def test_every_path_that_is_named_is_there() -> None:
    paths = re.findall(r"`((?:builder|tests|docs|specs|cache)/[\w./]*)`", _PAGE)
    assert len(paths) > 100
    assert [p for p in paths if "NAME" not in p and not (_ROOT / p).exists()] == []


def _contracts() -> list[dict[str, Any]]:
    configuration = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts: list[dict[str, Any]] = configuration["tool"]["importlinter"]["contracts"]
    return contracts


def test_the_rooms_stand_in_the_order_that_is_checked() -> None:
    layers = next(each["layers"] for each in _contracts() if each["type"] == "layers")
    rooms = re.search(r"(?s)## The import rule\n\n```text\n(.*?)```", _PAGE)
    assert rooms
    assert [line for line in rooms[1].splitlines() if not line.startswith("─")] == layers


def test_what_the_core_may_not_import_is_told_as_it_is_checked() -> None:
    forbidden = next(each["forbidden_modules"] for each in _contracts() if each["type"] == "forbidden")
    told = re.search(r"(?s)it does not import (.*?)\. Both are", _PAGE)
    assert told
    assert re.findall(r"`(\w+)`", told[1]) == forbidden
