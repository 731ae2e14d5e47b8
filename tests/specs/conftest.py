"""The specs, copied and built once a session."""

from __future__ import annotations

import pytest

from tests.makers.real_images import Workshop, make_workshop


@pytest.fixture(name="specs", scope="session")
def make_specs(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return make_workshop("specs", tmp_path_factory.mktemp("specs"))
