"""Whatever is done to a store in whatever order, what it gives has the digest it was asked by."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from builder.digests import Digest
from builder.store.store import Store

CONTENTS = [b"", b"a", b"b" * 3000, b"c" * 9_000]
contents = st.integers(0, len(CONTENTS) - 1).map(lambda number: CONTENTS[number])
keys = st.sampled_from([Digest.of(b"key %d" % number) for number in range(3)])


class StoreMachine(RuleBasedStateMachine):
    """Puts, downloads, records, damages, collections and verifications, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.store = Store(self.folder.name)
        self.recorded: dict[Digest, bytes] = {}

    @rule(content=contents)
    def put(self, content: bytes) -> None:
        assert self.store.put(content) == Digest.of(content)
        assert self.store.has(Digest.of(content), len(content))

    @rule(content=contents, cut=st.integers(0, 9_000), is_right=st.booleans())
    def download(self, content: bytes, cut: int, is_right: bool) -> None:
        with self.store.partial(Digest.of(content)) as partial:
            if not is_right and cut < len(content):
                partial.write(content[partial.size : cut])
                return
            partial.write((content if is_right else content + b"x")[partial.size :])
            assert partial.commit() or partial.size == 0

    @rule(key=keys, held=st.sets(contents), document=st.binary(max_size=20))
    def record(self, key: Digest, held: set[bytes], document: bytes) -> None:
        digests = [self.store.put(content) for content in sorted(held)]
        self.store.record(key, document, digests)
        self.recorded[key] = document
        assert self.store.action(key) == document

    @rule(content=contents, place=st.integers(0, 9_000))
    def damage(self, content: bytes, place: int) -> None:
        path = self.store.blob_path(Digest.of(content))
        with contextlib.suppress(FileNotFoundError), path.open("rb+") as stream:
            stream.seek(place)
            stream.write(b"!")

    @rule(content=contents, size=st.integers(0, 9_000))
    def cut(self, content: bytes, size: int) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.truncate(self.store.blob_path(Digest.of(content)), size)

    @rule(content=contents)
    def remove(self, content: bytes) -> None:
        self.store.blob_path(Digest.of(content)).unlink(missing_ok=True)

    @rule(size=st.integers(0, 15_000))
    def collect(self, size: int) -> None:
        result = self.store.gc(size)
        assert result.size <= size
        assert result.size == sum(usage.size for usage in self.store.ls())

    @rule()
    def verify(self) -> None:
        self.store.verify()
        assert self.store.verify() == ()

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = Store(self.folder.name)

    @invariant()
    def what_is_given_has_its_digest(self) -> None:
        for content in CONTENTS:
            if self.store.has(Digest.of(content)):
                with self.store.open(Digest.of(content)) as stream:
                    assert stream.read() == content
        for key, document in self.recorded.items():
            assert self.store.action(key) in {document, None}

    @invariant()
    def nothing_temporary_stays(self) -> None:
        folder = Path(self.folder.name) / "blobs-v1/temporary"
        assert not folder.exists() or not list(folder.iterdir())

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()


TestStoreLaws = StoreMachine.TestCase
TestStoreLaws.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
