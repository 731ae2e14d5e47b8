"""The examples, copied and built once a session."""

from __future__ import annotations

import pytest

from tests.makers.real_images import Workshop, make_workshop


@pytest.fixture(name="examples", scope="session")
def make_examples(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return make_workshop("examples", tmp_path_factory.mktemp("examples"))
