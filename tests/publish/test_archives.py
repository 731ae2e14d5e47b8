"""Archives and flat tars: their members, their bytes, and how they come to their place."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builder.digests import Digest
from builder.errors import PublishError, UsageError
from builder.image.image import Image
from builder.layers.parts import Layer
from builder.publish.destinations import Destination
from builder.publish.flat import flatten
from builder.publish.publish import publish
from builder.store.store import Store
from builder.tree.entries import DIRECTORY, FILE, Entry
from tests.makers.images import folder, hard, link, make_image, text


def written(image: Image[Layer], store: Store, kind: str) -> bytes:
    class Pipe(io.BytesIO):
        def isatty(self) -> bool:
            return False

    stream = Pipe()
    publish(image, Destination(kind, "-"), store, stdout=stream)
    return stream.getvalue()


def members(content: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        found = {}
        for member in archive:
            file = archive.extractfile(member) if member.isreg() else None
            found[member.name] = file.read() if file else b""
            assert (member.uid, member.gid, member.mtime, member.uname) == (0, 0, 0, "")
        return found


def test_an_oci_archive_is_the_layout_as_a_tar(
    image: Image[Layer], store: Store, tmp_path: Path
) -> None:
    publish(image, Destination("oci", str(tmp_path / "out")), store)
    layout = {
        str(p.relative_to(tmp_path / "out")): p.read_bytes() if p.is_file() else b""
        for p in (tmp_path / "out").rglob("*")
    }
    assert members(written(image, store, "oci-archive")) == layout


def test_a_docker_archive_has_layers_by_their_diff_id(image: Image[Layer], store: Store) -> None:
    found = members(written(image, store, "docker-archive"))
    part = image.images[0]
    config = f"{part.config_descriptor.digest.hex}.json"
    layers = [f"{layer.diff_id.hex}.tar" for layer in part.layers]
    assert list(found) == ["manifest.json", config, *layers]
    assert json.loads(found["manifest.json"]) == [
        {"Config": config, "RepoTags": ["docker.io/library/app:latest"], "Layers": layers}
    ]
    for name in layers:
        assert Digest.of(found[name]).hex == name.removesuffix(".tar")


@pytest.mark.parametrize("kind", ["oci-archive", "docker-archive", "tar"])
@pytest.mark.parametrize("algorithm", ["zstd", "gzip"])
def test_equal_images_are_equal_bytes(store: Store, tmp_path: Path, kind: str, algorithm: str) -> None:
    def make(store: Store) -> Image[Layer]:
        return make_image(store, [folder("a"), text("a/b", "c" * 9000)], algorithm=algorithm)

    assert written(make(store), store, kind) == written(
        make(other := Store(tmp_path / "2")), other, kind
    )


def flat(content: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        rows = []
        for m in archive:
            file = archive.extractfile(m) if m.isreg() else None
            says = f"{m.type.decode()} {m.mode:04o} {m.uid}:{m.gid} {m.name}"
            rows.append(
                says + (f" -> {m.linkname}" if m.linkname else f" {file.read()!r}" if file else "")
            )
        return rows


def test_a_flat_tar_has_each_path_once_as_the_top_has_it(image: Image[Layer], store: Store) -> None:
    assert flat(written(image, store, "tar")) == [
        "5 0700 0:0 etc",
        "5 0755 0:0 usr",
        "5 0755 0:0 usr/bin",
        "0 4755 0:0 usr/bin/true b'ELF'",
        "1 4755 0:0 usr/bin/also -> usr/bin/true",
        "2 0777 0:0 bin -> usr/bin",
        "0 0640 5:7 etc/motd b'above'",
    ]


def test_a_link_whose_file_was_replaced_becomes_the_file(store: Store) -> None:
    image = make_image(
        store,
        [text("a", "old"), hard("b", "a"), hard("c", "a")],
        [text("a", "new", 0o600)],
        [text("z", "")],
    )
    assert flat(written(image, store, "tar")) == [
        "0 0644 0:0 b b'old'",
        "1 0644 0:0 c -> b",
        "0 0600 0:0 a b'new'",
        "0 0644 0:0 z b''",
    ]


def test_a_link_over_a_folder_hides_what_was_in_it(store: Store) -> None:
    image = make_image(store, [folder("run"), folder("var"), folder("var/run"), text("var/run/x", "")],
                       [link("var/run", "/run")])  # fmt: skip
    assert flat(written(image, store, "tar")) == [
        "5 0755 0:0 run", "5 0755 0:0 var", "2 0777 0:0 var/run -> /run",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("suffix", "mark"), [(".gz", b"\x1f\x8b"), (".tgz", b"\x1f\x8b"), (".zst", b"(\xb5/\xfd")]
)
def test_a_suffix_compresses_the_flat_tar(
    image: Image[Layer], store: Store, tmp_path: Path, suffix: str, mark: bytes
) -> None:
    from builder.layers.compression import decompress

    path = tmp_path / f"out.tar{suffix}"
    publish(image, Destination("tar", str(path)), store)
    assert path.read_bytes().startswith(mark)
    with path.open("rb") as stream:
        plain = b"".join(decompress(stream, "zstd" if suffix == ".zst" else "gzip"))
    assert plain == written(image, store, "tar")


ENTRIES = st.lists(
    st.tuples(st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map("/".join), st.booleans()),
    max_size=8,
).map(lambda rows: [Entry(path, DIRECTORY if is_dir else FILE, 0o755) for path, is_dir in rows])


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(ENTRIES, max_size=4))
def test_flattening_keeps_the_last_of_each_path_and_nothing_below_a_file(
    layers: list[list[Entry]],
) -> None:
    tree = flatten(layers)
    for path, (index, entry) in tree.items():
        assert entry in layers[index]
        assert not any(e.path == path for later in layers[index + 1 :] for e in later)
    paths = {e.path for layer in layers for e in layer}
    for path in paths - tree.keys():
        assert any(e.kind == FILE and path.startswith(f"{e.path}/") for layer in layers for e in layer)


# ---- where it goes ---------------------------------------------------------------------------------


def test_a_terminal_gets_no_archive(image: Image[Layer], store: Store) -> None:
    class Terminal(io.BytesIO):
        def isatty(self) -> bool:
            return True

    with pytest.raises(UsageError) as caught:
        publish(image, Destination("tar", "-"), store, stdout=Terminal())
    assert caught.value.render() == (
        "error: tar:-: an archive is not written to a terminal\n\n"
        "hint: redirect standard output, or write tar:FILE"
    )


def test_a_reader_that_leaves_is_told(image: Image[Layer], store: Store) -> None:
    ends = os.pipe()
    os.close(ends[0])
    with os.fdopen(ends[1], "wb", buffering=0) as stream, pytest.raises(PublishError) as caught:
        publish(image, Destination("tar", "-"), store, stdout=stream)
    assert caught.value.render() == "error: standard output: its reader has gone"


def test_a_device_is_written_to_and_a_link_followed(
    image: Image[Layer], store: Store, tmp_path: Path
) -> None:
    publish(image, Destination("tar", "/dev/null"), store)
    assert Path("/dev/null").is_char_device()
    (tmp_path / "link").symlink_to("real.tar")
    publish(image, Destination("tar", str(tmp_path / "link")), store)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real.tar").stat().st_size > 0


def test_the_umask_gives_a_files_mode(image: Image[Layer], store: Store, tmp_path: Path) -> None:
    previous = os.umask(0o077)
    try:
        publish(image, Destination("tar", str(tmp_path / "out.tar")), store)
    finally:
        os.umask(previous)
    assert (tmp_path / "out.tar").stat().st_mode & 0o777 == 0o600


def test_a_planted_link_is_not_followed(image: Image[Layer], store: Store, tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("safe")
    (tmp_path / ".out.tar.imgbuild-part").symlink_to("victim")
    with pytest.raises(PublishError) as caught:
        publish(image, Destination("tar", str(tmp_path / "out.tar")), store)
    assert caught.value.message == "cannot be written: too many levels of symbolic links"
    assert (tmp_path / "victim").read_text() == "safe"


@pytest.mark.parametrize("kind", ["oci-archive", "docker-archive", "tar"])
def test_a_folder_in_its_place_is_refused(
    image: Image[Layer], store: Store, tmp_path: Path, kind: str
) -> None:
    with pytest.raises(PublishError) as caught:
        publish(image, Destination(kind, str(tmp_path)), store)
    assert caught.value.render() == f"error: {tmp_path}: is a folder, not a file"


CHILD = """
import os, sys
from builder.publish.destinations import parse_destination
from builder.publish.publish import publish
from builder.store.store import Store
from tests.makers.images import make_image, text
store = Store(sys.argv[1])
image = make_image(store, [text(f"f{n}", os.urandom(2000)) for n in range(400)], reference="new")
print("go", flush=True)
for _ in range(1000):
    publish(image, parse_destination(sys.argv[2]), store)
    if sys.argv[3] == "remove":
        import shutil
        shutil.rmtree(sys.argv[2].partition(":")[2])
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["oci", "oci-archive", "docker-archive", "tar", "rootfs"])
def test_a_killed_run_leaves_the_old_or_the_new_and_the_next_one_cleans_up(
    store: Store, tmp_path: Path, kind: str
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    destination = Destination(kind, str(place / "out"))
    remove = "remove" if kind == "rootfs" else "keep"
    for pause in (0.0, 0.004, 0.011, 0.023, 0.05):
        with subprocess.Popen(
            [sys.executable, "-c", CHILD, tmp_path / "theirs", str(destination), remove],
            stdout=subprocess.PIPE,
        ) as child:
            assert child.stdout is not None
            child.stdout.readline()
            time.sleep(pause)
            os.kill(child.pid, signal.SIGKILL)
        stray = {path.name for path in place.iterdir()} - {"out"}
        assert stray <= {".out.imgbuild-part"}
    if kind == "rootfs":
        import shutil

        shutil.rmtree(place / "out", ignore_errors=True)
    image = make_image(store, [text("a", "b")], reference="new")
    publish(image, destination, store)
    assert [path.name for path in place.iterdir()] == ["out"]
    if kind == "oci":
        from tests.publish.test_layout import blobs, names

        assert names(place / "out") == {digest.hex for digest, _ in blobs(image)}
