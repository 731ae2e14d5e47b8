"""What cannot be installed is what dose-debcheck says cannot (dose_sweep asks about all of them)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.oracle import dose_sweep


@pytest.mark.oracle
@pytest.mark.live
@pytest.mark.slow
def test_verdicts_on_sid_are_those_of_dose(tmp_path: Path) -> None:
    verdicts = dose_sweep.compare(tmp_path, "sid", count=40, seed=1)
    assert (verdicts.broken, verdicts.others) == (40, 40)
    # dose takes a versioned conflict with "name:any" for one with every version; apt does not.
    assert verdicts.wrong == ()
    assert len(verdicts.different) <= 1
