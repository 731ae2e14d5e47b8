"""The install set is apt's, on the real suites: twenty seeded requests each (apt_sweep has more)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.oracle import apt, apt_sweep


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("apt")


@pytest.mark.oracle
@pytest.mark.live
@pytest.mark.slow
@pytest.mark.parametrize("suite", apt.SUITES)
def test_random_requests_end_in_the_set_of_apt(folder: Path, suite: str) -> None:
    apt.require_apt()
    outcomes = list(apt_sweep.compare(folder, suite, count=20, seed=1, jobs=2))
    different = [str(outcome) for outcome in outcomes if not outcome.is_same]
    assert len(outcomes) == 20
    # One in a hundred may differ (docs/explanation/resolver-and-apt.md); of twenty, one by bad luck.
    assert len(different) <= 1, "\n".join(different)
