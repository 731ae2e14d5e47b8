"""A store and a small image for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.image.image import Image
from builder.layers.parts import Layer
from builder.store.store import Store
from tests.makers.images import folder, hard, link, make_image, text


@pytest.fixture(name="store")
def make_store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache")


@pytest.fixture(name="image")
def make_small_image(store: Store) -> Image[Layer]:
    return make_image(
        store,
        [
            folder("etc"),
            folder("usr"),
            folder("usr/bin"),
            text("usr/bin/true", "ELF", 0o4755),
            hard("usr/bin/also", "usr/bin/true", 0o4755),
            link("bin", "usr/bin"),
            text("etc/motd", "below"),
        ],
        [folder("etc", 0o700), text("etc/motd", "above", 0o640, 5, 7)],
    )
