"""The contract of the store names a test for each of its promises."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_test_that_the_contract_names_is_there() -> None:
    contract = (ROOT / "cache/README.md").read_text()
    promises = contract.partition("## What is promised")[2]
    names = re.findall(r"\| `(\w+)` \|", promises)
    assert len(names) == promises.count("\n| ") - 1 > 10
    sources = "".join(
        path.read_text()
        for folder in ("store", "fetch")
        for path in (ROOT / "tests" / folder).glob("test_*.py")
    )
    assert [name for name in names if not re.search(rf"(def|class)? ?{name}\b[ =(]", sources)] == []
