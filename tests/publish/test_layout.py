"""An OCI layout holds what it is told to hold, whatever happens while it is written."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from builder.digests import Digest
from builder.errors import PublishError, StoreError
from builder.image.image import Image
from builder.layers.parts import Layer
from builder.publish import layout, placing
from builder.publish.current import is_current
from builder.publish.destinations import Destination
from builder.publish.publish import publish
from builder.store.store import Store
from tests.makers.images import make_image, text


def put(image: Image[Layer], place: Path, store: Store) -> None:
    publish(image, Destination("oci", str(place)), store)


def tree(place: Path) -> dict[str, bytes]:
    return {str(p.relative_to(place)): p.read_bytes() for p in sorted(place.rglob("*")) if p.is_file()}


def blobs(image: Image[Layer]) -> list[tuple[Digest, int]]:
    return [(blob.descriptor.digest, blob.descriptor.size) for blob in image.blobs()]


def names(place: Path) -> set[str]:
    return {path.name for path in (place / "blobs/sha256").iterdir()}


def test_a_layout_has_version_index_and_every_blob(
    image: Image[Layer], store: Store, tmp_path: Path
) -> None:
    put(image, tmp_path / "out", store)
    assert names(tmp_path / "out") == {digest.hex for digest, _ in blobs(image)}
    for path in (tmp_path / "out/blobs/sha256").iterdir():
        assert Digest.of(path.read_bytes()).hex == path.name
    assert json.loads((tmp_path / "out/oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    assert json.loads((tmp_path / "out/index.json").read_bytes()) == {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [
            {
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": image.digest,
                "size": image.descriptor.size,
                "annotations": {
                    "io.containerd.image.name": "docker.io/library/app:latest",
                    "org.opencontainers.image.ref.name": "app:latest",
                },
            }
        ],
    }
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"blobs", "oci-layout", "index.json"}


def test_other_references_stay_and_the_same_one_is_replaced(store: Store, tmp_path: Path) -> None:
    shared = [text("shared", "s")]
    first = make_image(store, shared, [text("a", "1")], reference="a")
    other = make_image(store, shared, [text("b", "1")], reference="b")
    newer = make_image(store, shared, [text("a", "2")], reference="a")
    put(first, tmp_path / "out", store)
    put(other, tmp_path / "out", store)
    base = tmp_path / "out/blobs/sha256" / first.images[0].layers[0].digest.hex
    inode = base.stat().st_ino
    put(newer, tmp_path / "out", store)
    assert names(tmp_path / "out") == {
        digest.hex for image in (other, newer) for digest, _ in blobs(image)
    }
    assert base.stat().st_ino == inode, "a shared blob is not written again"
    manifests = json.loads((tmp_path / "out/index.json").read_bytes())["manifests"]
    assert [each["digest"] for each in manifests] == [other.digest, newer.digest]
    put(newer, tmp_path / "fresh", store)
    put(newer, tmp_path / "fresh", store)
    assert len(json.loads((tmp_path / "fresh/index.json").read_bytes())["manifests"]) == 1


def test_foreign_annotations_and_indexes_survive(
    image: Image[Layer], store: Store, tmp_path: Path
) -> None:
    many = make_image(store, [text("x", "y")], reference="many", architectures=("amd64", "arm64"))
    put(many, tmp_path / "out", store)
    path = tmp_path / "out/index.json"
    index = json.loads(path.read_bytes())
    index["manifests"][0]["annotations"]["own"] = "1.5"
    del index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"]
    path.write_text(json.dumps(index))
    put(image, tmp_path / "out", store)
    manifests = json.loads(path.read_bytes())["manifests"]
    assert manifests[0] == index["manifests"][0]
    assert names(tmp_path / "out") == {digest.hex for each in (many, image) for digest, _ in blobs(each)}


def test_nothing_is_removed_where_a_document_cannot_be_followed(
    image: Image[Layer], store: Store, tmp_path: Path
) -> None:
    other = make_image(store, [text("x", "y")], reference="other")
    put(other, tmp_path / "out", store)
    (tmp_path / "out/blobs/sha256" / other.digest.hex).unlink()
    before = names(tmp_path / "out")
    put(image, tmp_path / "out", store)
    assert before < names(tmp_path / "out")


def test_a_damaged_blob_of_the_layout_is_written_again(
    image: Image[Layer], store: Store, tmp_path: Path
) -> None:
    put(image, tmp_path / "out", store)
    good = tree(tmp_path / "out")
    for digest, size in blobs(image):
        (tmp_path / "out/blobs/sha256" / digest.hex).write_bytes(b"x" * size)
    put(image, tmp_path / "out", store)
    assert tree(tmp_path / "out") == good


def test_what_is_there_already_is_told_by_stat_alone(
    image: Image[Layer], store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    destination = Destination("oci", str(tmp_path / "out"))
    assert not is_current(destination, "app", image.digest, blobs(image))
    put(image, tmp_path / "out", store)
    assert is_current(destination, "app", image.digest, blobs(image))
    assert not is_current(destination, "app:1", image.digest, blobs(image))
    assert not is_current(destination, "app", Digest.of(b""), blobs(image))
    assert not is_current(Destination("rootfs", str(tmp_path / "out")), "app", image.digest, [])
    for digest, size in blobs(image):
        path = tmp_path / "out/blobs/sha256" / digest.hex
        content = path.read_bytes()
        os.truncate(path, size - 1)
        assert not is_current(destination, "app", image.digest, blobs(image))
        path.unlink()
        assert not is_current(destination, "app", image.digest, blobs(image))
        path.write_bytes(content)
    (tmp_path / "out/index.json").write_text("{")
    assert not is_current(destination, "app", image.digest, blobs(image))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"notes.txt": "mine", "blobs/sha256/" + "0" * 64: "mine"},
            (
                "error: {place}: is a folder with other things in it, not an OCI layout\n\n"
                "hint: choose a folder that is empty, absent or an OCI layout"
            ),
        ),
        (
            {"oci-layout": '{"imageLayoutVersion":"2.0.0"}'},
            "error: {place}: is an OCI layout of version '2.0.0', not 1.0.0",
        ),
        ({"oci-layout": "[]"}, "error: {place}/oci-layout: is not a JSON object"),
        (
            {"oci-layout": layout.OCI_LAYOUT.decode(), "index.json": "{}"},
            "error: {place}/index.json: is no image index: it has no list of manifests",
        ),
    ],
)
def test_what_is_no_layout_is_refused_and_not_touched(
    image: Image[Layer], store: Store, tmp_path: Path, files: dict[str, str], message: str
) -> None:
    place = tmp_path / "out"
    for name, content in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(content)
    before = tree(place)
    with pytest.raises(PublishError) as caught:
        put(image, place, store)
    assert caught.value.render() == message.format(place=place)
    assert tree(place) == before


def test_a_file_or_a_missing_parent_is_refused(
    image: Image[Layer], store: Store, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PublishError) as caught:
        put(image, tmp_path / "file", store)
    assert caught.value.render() == f"error: {tmp_path}/file: is a file, not a folder"
    with pytest.raises(PublishError) as caught:
        put(image, tmp_path / "no/out", store)
    assert caught.value.render() == (
        f"error: {tmp_path}/no/out: cannot be written: no such file or directory\n\n"
        "hint: make the folder first"
    )


class Interrupting:
    """A store whose chunks end in an exception."""

    def __init__(self, store: Store, error: BaseException, after: int) -> None:
        self._store, self._error, self._left = store, error, after

    def open(self, digest: Digest, /) -> Any:
        self._left -= 1
        if self._left < 0:
            raise self._error
        return self._store.open(digest)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), StoreError("gone"), OSError(28, "full")])
@pytest.mark.parametrize("after", range(4))
def test_an_interruption_leaves_the_old_state(
    store: Store, tmp_path: Path, error: BaseException, after: int
) -> None:
    place = tmp_path / "out"
    old = make_image(store, [text("a", "1")], reference="a")
    new = make_image(store, [text("a", "2")], [text("b", "2")], reference="a")
    with pytest.raises((KeyboardInterrupt, StoreError, PublishError)):
        publish(new, Destination("oci", str(place)), Interrupting(store, error, after))
    assert not place.exists()
    put(old, place, store)
    before = tree(place)
    with pytest.raises((KeyboardInterrupt, StoreError, PublishError)):
        publish(new, Destination("oci", str(place)), Interrupting(store, error, after))
    assert tree(place) == before


def test_a_layer_that_is_not_what_it_says_is_refused(store: Store, tmp_path: Path) -> None:
    good, other = (make_image(store, [text("a", each * 5000)]) for each in "ab")
    layer = good.images[0].layers[0]
    for chunks in (other.images[0].layers[0].chunks, layer.chunks[:-1], layer.chunks * 2):
        bad = make_image(store, [text("a", "a" * 5000)])
        lying = msgspec.structs.replace(layer, chunks=chunks)
        part = msgspec.structs.replace(bad.images[0], layers=(lying,))
        bad = msgspec.structs.replace(bad, images=(part,))
        for kind in ("oci", "oci-archive", "docker-archive", "rootfs", "tar"):
            with pytest.raises(StoreError) as caught:
                publish(bad, Destination(kind, str(tmp_path / "out")), store)
            assert caught.value.render() == (
                f"error: layer {layer.digest} does not come out of the cache whole\n\n"
                "hint: run `imgbuild cache verify` and build again"
            )
            assert [p.name for p in tmp_path.iterdir()] == ["cache"]


def test_every_moment_of_a_run_is_the_old_state_or_the_new(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stops dead (no clean-up runs) before each rename; the layout must then be the old one, whole."""

    class Killed(BaseException):
        pass

    place = tmp_path / "out"
    old = make_image(store, [text("a", "1")], reference="a")
    new = make_image(store, [text("a", "2")], [text("b", "2")], reference="a")
    real = os.replace
    monkeypatch.setattr(layout, "_undo", lambda *_, **__: None)
    monkeypatch.setattr(placing.os, "unlink", lambda *_, **__: None)  # type: ignore[attr-defined]
    put(old, place, store)
    for moment in range(20):
        left = moment

        def dying(*args: Any) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            real(*args)

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", dying)
            try:
                put(new, place, store)
                break
            except Killed:
                pass
        assert is_current(Destination("oci", str(place)), "a", old.digest, blobs(old))
        assert json.loads((place / "index.json").read_bytes())["manifests"][0]["digest"] == old.digest
    else:
        pytest.fail("it never came to an end")
    assert moment >= 3
    monkeypatch.undo()
    put(new, place, store)
    put(new, tmp_path / "clean", store)
    assert tree(place) == tree(tmp_path / "clean")


def test_two_runs_at_once_leave_both_images(store: Store, tmp_path: Path) -> None:
    import threading

    images = [make_image(store, [text("x", str(n))], reference=f"i{n}") for n in range(6)]
    threads = [threading.Thread(target=put, args=(i, tmp_path / "out", store)) for i in images]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for image in images:
        destination = Destination("oci", str(tmp_path / "out"))
        assert is_current(destination, image.reference, image.digest, blobs(image))


@pytest.fixture(name="full_disk")
def make_full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    import subprocess

    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "imgbuild-test", place],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"a tmpfs cannot be mounted here (needs root): {done.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", place], check=True)


@pytest.mark.parametrize("kind", ["oci", "oci-archive", "docker-archive", "rootfs", "tar"])
def test_a_full_disk_is_one_error_and_nothing_stays(store: Store, full_disk: Path, kind: str) -> None:
    image = make_image(store, [text("big", os.urandom(200_000))])
    with pytest.raises(PublishError) as caught:
        publish(image, Destination(kind, f"{full_disk}/out"), store)
    assert caught.value.render() == (
        f"error: {full_disk}/out: cannot be written: no space left on device\n\n"
        "hint: free some space or write to another disk"
    )
    assert list(full_disk.iterdir()) == []


def test_asking_what_is_there_imports_no_image_no_layers_and_no_compression() -> None:
    import subprocess
    import sys

    code = "import sys, builder.publish.current; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = set(done.stdout.split())
    assert "builder.publish.current" in modules
    assert not modules & {
        "builder.image",
        "builder.layers",
        "builder.spec",
        "builder.store",
        "zstandard",
    }
