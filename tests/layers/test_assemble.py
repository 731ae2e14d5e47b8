"""What stands in which layer, the exact bytes of layers, and whether real tools read them."""

from __future__ import annotations

import gzip
import hashlib
import io
import shutil
import subprocess
import tarfile
from pathlib import Path

import msgspec
import pytest
import zstandard

from builder.layers.assemble import decode_layer, encode_layer, layer_key
from builder.layers.compression import DEFAULT_LEVELS
from builder.layers.parts import Layer
from builder.packages import Identity
from builder.spec.model import Compression
from builder.tree.entries import NewFile
from tests.layers.builds import EPOCH, Blobs, Built, build, contents_of
from tests.makers.trees import dump, entry, fragment

ZSTD, GZIP = Compression(), Compression(algorithm="gzip")
CONTENTS = contents_of("a", "b", "c", "root:x:0:0")
PASSWD = NewFile.regular("etc/passwd", b"root:x:0:0")

LIBC = fragment("libc6", {"usr/lib/libc.so.6": "file 0755 a", "usr/lib/ld.so": "hard usr/lib/libc.so.6"})
SUDO = fragment(
    "sudo",
    {"usr/bin/sudo": "file 4755 b", "etc/sudoers.d": "dir 0750", "usr/bin/sudoedit": "link sudo"},
    database={"var/lib/dpkg/status.d/sudo": "file 0644 c"},
)
CLOUD = fragment("cloud", {"etc/sudoers.d/cloud": "file 0440 c"})


def image(**arguments: object) -> Built:
    words = {"generated": [PASSWD], "links": (("lib", "usr/lib"),), **arguments}
    return build([LIBC, SUDO, CLOUD], (("libc6",), ("sudo",), ("cloud",)), **words)  # type: ignore[arg-type]


def layers_of(outcome: Built) -> list[list[str]]:
    return [
        [f"{path}: {line}" for path, line in dump({e.path: e for e in parts.entries()}).items()]
        for parts in outcome.layers
    ]


def test_each_layer_has_its_folders_then_its_members_and_the_top_what_is_left() -> None:
    a, b, c, passwd = (digest[7:15] for digest in CONTENTS)
    assert layers_of(image()) == [
        [
            "usr: dir 0755",
            "usr/lib: dir 0755",
            f"usr/lib/libc.so.6: file 0755 {a}",
            "usr/lib/ld.so: hard usr/lib/libc.so.6",
        ],
        [
            "etc: dir 0755",
            "etc/sudoers.d: dir 0750",
            "usr: dir 0755",
            "usr/bin: dir 0755",
            "var: dir 0755",
            "var/lib: dir 0755",
            "var/lib/dpkg: dir 0755",
            "var/lib/dpkg/status.d: dir 0755",
            f"usr/bin/sudo: file 4755 {b}",
            "usr/bin/sudoedit: link sudo",
            f"var/lib/dpkg/status.d/sudo: file 0644 {c}",
        ],
        ["etc: dir 0755", "etc/sudoers.d: dir 0755", f"etc/sudoers.d/cloud: file 0440 {c}"],
        [
            "etc: dir 0755",
            "etc/sudoers.d: dir 0750",
            f"etc/passwd: file 0644 {passwd}",
            "lib: link usr/lib",
        ],
    ]


def test_the_bytes_of_a_layer_depend_on_its_members_alone() -> None:
    blobs = Blobs(ZSTD)
    whole = [blobs.write(parts, CONTENTS) for parts in image().layers]
    alone = build([LIBC], (("sudo", "libc6"), ("cloud",)))
    assert blobs.write(alone.layers[0], CONTENTS) == whole[0]


def test_a_layer_without_members_is_left_out() -> None:
    outcome = build([LIBC], (("sudo",), ("libc6",), ("cloud",)))
    assert [parts.packages for parts in outcome.layers] == [("libc6",)]


def test_a_unit_that_the_plan_lacks_is_a_defect() -> None:
    with pytest.raises(AssertionError, match="every unit is in the plan"):
        build([LIBC], ())


def test_members_stand_by_name_whatever_the_order_they_come_in() -> None:
    one = build([SUDO, LIBC], (("sudo", "libc6"),))
    two = build([LIBC, SUDO], (("sudo", "libc6"),))
    assert one.layers == two.layers
    assert one.layers[0].packages == ("libc6", "sudo")


def test_a_layer_itself_settles_what_its_members_say_of_a_folder() -> None:
    for plan in ((("sudo", "cloud"),), (("cloud", "sudo"),)):
        (parts,) = build([SUDO, CLOUD], plan).layers
        assert dump({e.path: e for e in parts.directories})["etc/sudoers.d"] == "dir 0750"


def test_an_image_with_the_package_manager_has_no_package_databases_in_its_layers() -> None:
    paths = {e.path for parts in image(has_databases=False).layers for e in parts.entries()}
    assert not any(path.startswith("var") for path in paths)


def test_generated_entries_have_the_epochs_mtime_and_folders_the_newest_of_their_members() -> None:
    newer = fragment("newer", {"usr/lib/x": "file 0644 a"}, mtime=LIBC.newest + 5)
    outcome = build([LIBC, newer], (("libc6", "newer"),), generated=[PASSWD])
    packages, top = outcome.layers
    assert {e.path: e.mtime for e in packages.directories} == {
        "usr": LIBC.newest + 5,
        "usr/lib": LIBC.newest + 5,
    }
    assert {e.mtime for e in top.entries()} == {EPOCH}


def test_local_files_are_in_the_top_layer_and_hide_generated_ones() -> None:
    local = fragment("@files", {"etc/passwd": "file 0600 c", "app/x": "file 0644 b"})
    (top,) = build([], (), generated=[PASSWD], local=[local]).layers
    assert [e.path for e in top.entries()] == ["app", "etc", "app/x", "etc/passwd"]
    assert top.packages == ()


def test_an_image_over_a_base_has_the_bases_layers_and_says_nothing_of_them_again() -> None:
    base = build([LIBC, SUDO], generated=[PASSWD], links=(("lib", "usr/lib"),))
    outcome = build([CLOUD], base=base, generated=[PASSWD], links=(("lib", "usr/lib"),))
    assert outcome.layers[:3] == base.layers
    assert [[e.path for e in parts.entries()] for parts in outcome.layers[3:]] == [
        ["etc", "etc/sudoers.d", "etc/sudoers.d/cloud"],
        ["etc", "etc/sudoers.d"],
    ]


# ---- bytes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", [ZSTD, GZIP], ids=lambda c: c.algorithm)
def test_digests_and_sizes_are_those_of_the_joined_chunks(compression: Compression) -> None:
    blobs = Blobs(compression)
    for parts in image().layers:
        layer = blobs.write(parts, CONTENTS)
        blob = blobs.bytes_of(layer)
        tar = unpacked(blob, compression)
        assert (layer.digest, layer.size) == (f"sha256:{hashlib.sha256(blob).hexdigest()}", len(blob))
        assert (layer.diff_id, layer.tar_size) == (f"sha256:{hashlib.sha256(tar).hexdigest()}", len(tar))
        assert layer.media_type.endswith(f"tar+{compression.algorithm}")
        assert layer.packages == parts.packages
        assert decode_layer(encode_layer(layer)) == layer


def unpacked(blob: bytes, compression: Compression) -> bytes:
    if compression.algorithm == "gzip":
        return gzip.decompress(blob)
    reader = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(blob), read_across_frames=True)
    return reader.read()


def test_python_reads_a_layer_of_several_frames_as_its_entries() -> None:
    blobs = Blobs(ZSTD)
    for parts in image().layers:
        tar = unpacked(blobs.bytes_of(blobs.write(parts, CONTENTS)), ZSTD)
        with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
            members = archive.getmembers()
            assert [(m.name, m.mode, m.uid, m.gid, m.mtime) for m in members] == [
                (e.path, e.mode, e.uid, e.gid, min(e.mtime, EPOCH)) for e in parts.entries()
            ]
            contents = {e.path: CONTENTS[e.digest] for e in parts.entries() if e.digest}
            for member in members:
                stream = archive.extractfile(member) if member.isreg() else None
                assert (stream.read() if stream else None) == contents.get(member.name)


def test_no_mtime_of_a_layer_is_later_than_the_clamp() -> None:
    late = build([fragment("late", {"d/x": "file 0644 a"}, mtime=EPOCH + 9)])
    blobs = Blobs(ZSTD)
    tar = unpacked(blobs.bytes_of(blobs.write(late.layers[0], CONTENTS)), ZSTD)
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        assert {member.mtime for member in archive} == {EPOCH}


def test_a_chunk_that_is_not_what_its_fragment_says_is_a_defect() -> None:
    blobs = Blobs(ZSTD)
    parts = blobs.with_chunks(image().layers[0], CONTENTS)
    wrong = msgspec.structs.replace(parts.members[0], chunk=blobs.chunk([], {}))
    chunk = parts.members[0].chunk
    assert chunk
    wrong = msgspec.structs.replace(wrong, chunk=msgspec.structs.replace(chunk, tar_size=1))
    with pytest.raises(AssertionError, match="chunks are what their fragments say"):
        blobs.write_ready(msgspec.structs.replace(parts, members=(wrong,)))


# ---- keys ----------------------------------------------------------------------------------------


def test_the_key_of_a_layer_changes_with_all_that_its_bytes_depend_on() -> None:
    blobs = Blobs(ZSTD)
    parts = blobs.with_chunks(image().layers[0], CONTENTS)
    top = image().layers[-1]
    member = parts.members[0]
    other = msgspec.structs.replace(member, chunk=blobs.chunk([entry("x", "file 0644 a")], CONTENTS))
    renamed = msgspec.structs.replace(
        member, identity=Identity(name="z", version="1", architecture="all")
    )
    changed = msgspec.structs.replace(top, files=(NewFile.regular("etc/passwd", b"other"),))
    keys = [
        layer_key(parts, ZSTD, clamp=EPOCH),
        layer_key(parts, GZIP, clamp=EPOCH),
        layer_key(parts, Compression(level=17), clamp=EPOCH),
        layer_key(parts, ZSTD, clamp=5),
        layer_key(msgspec.structs.replace(parts, members=(other,)), ZSTD, clamp=EPOCH),
        layer_key(msgspec.structs.replace(parts, members=(renamed,)), ZSTD, clamp=EPOCH),
        layer_key(msgspec.structs.replace(parts, directories=()), ZSTD, clamp=EPOCH),
        layer_key(top, ZSTD, clamp=EPOCH),
        layer_key(top, ZSTD, clamp=EPOCH + 1),
        layer_key(changed, ZSTD, clamp=EPOCH),
    ]
    assert [keys.index(key) for key in keys] == list(range(len(keys)))


def test_the_key_of_a_layer_of_packages_does_not_change_with_a_later_epoch() -> None:
    parts = image().layers[0]
    assert layer_key(parts, ZSTD, clamp=EPOCH) == layer_key(parts, ZSTD, clamp=EPOCH + 86400)
    explicit = Compression(level=DEFAULT_LEVELS["zstd"])
    assert layer_key(parts, ZSTD, clamp=EPOCH) == layer_key(parts, explicit, clamp=EPOCH)


# ---- real tools ----------------------------------------------------------------------------------


def need(tool: str, package: str) -> str:
    path = shutil.which(tool)
    if path is None:
        pytest.skip(f"SKIPPED ORACLE: {tool} is missing (Debian package {package})")
    return path


@pytest.mark.oracle
@pytest.mark.parametrize(("compression", "tool"), [(ZSTD, "zstd"), (GZIP, "gzip")], ids=["zstd", "gzip"])
def test_the_command_line_tools_read_joined_chunks(
    compression: Compression, tool: str, tmp_path: Path
) -> None:
    need(tool, tool)
    tar = need("tar", "tar")
    blobs = Blobs(compression)
    for parts in image().layers:
        layer: Layer = blobs.write(parts, CONTENTS)
        blob = blobs.bytes_of(layer)
        subprocess.run([tool, "-tq"], input=blob, check=True)
        done = subprocess.run([tool, "-dcq"], input=blob, check=True, capture_output=True)
        assert hashlib.sha256(done.stdout).hexdigest() == layer.diff_id.hex
        listing = subprocess.run([tar, "-tf", "-"], input=done.stdout, check=True, capture_output=True)
        assert listing.stderr == b""
        assert listing.stdout.decode().splitlines() == [
            f"{e.path}/" if e.is_directory else e.path for e in parts.entries()
        ]
