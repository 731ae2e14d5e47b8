"""A store, a server, and a fetcher that does not really sleep."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from builder.digests import Digest
from builder.fetch.fetcher import Fetcher
from builder.fetch.request import Request
from builder.store.store import Store
from tests.simulators.http import WebServer

CONTENT = bytes(range(256)) * 800  # 204,800 bytes
MakeFetcher: TypeAlias = Callable[..., Fetcher]


def wanted(path: str = "pool/a.deb", content: bytes = CONTENT, **changes: Any) -> Request:
    fields: dict[str, Any] = {
        "repository": "debian", "location": "main", "path": path, "limit": len(content),
        "is_exact": True, "digest": Digest.of(content),
    }  # fmt: skip
    return Request(**fields | changes)


def text_wanted(path: str = "dists/x/InRelease", **changes: Any) -> Request:
    fields: dict[str, Any] = {
        "repository": "debian", "location": "main", "path": path, "limit": 1000,
    }  # fmt: skip
    return Request(**fields | changes)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "cache") as store:
        yield store


@pytest.fixture
def server() -> Iterator[WebServer]:
    with WebServer({"pool/a.deb": CONTENT, "dists/x/InRelease": b"signed"}) as server:
        yield server


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def make(store: Store, server: WebServer, pauses: list[float]) -> MakeFetcher:
    def make(*mirrors: str, **options: Any) -> Fetcher:
        defaults: dict[str, Any] = {"sleep": pauses.append, "timeout": 5.0}
        return Fetcher(store, {("debian", "main"): mirrors or (server.url,)}, **defaults | options)

    return make
