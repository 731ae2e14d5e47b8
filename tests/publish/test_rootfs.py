"""The tree as a folder: exact for root, and never out of the folder for anybody."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from builder.errors import PublishError
from builder.image.image import Image
from builder.layers.parts import Layer
from builder.publish import rootfs
from builder.publish.destinations import Destination
from builder.publish.publish import publish
from builder.reporting import Event, Warned
from builder.store.store import Store
from builder.tree.entries import FILE, Entry, NewFile
from tests.makers.images import EPOCH, dump, folder, hard, link, make_image, text

IS_ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not IS_ROOT, reason="owners can only be set by root")


def unpack(image: Image[Layer], store: Store, place: Path) -> list[Event]:
    events: list[Event] = []
    publish(image, Destination("rootfs", str(place)), store, report=events.append)
    return events


@needs_root
def test_root_gets_owners_modes_times_and_links(
    image: Image[Layer], store: Store, tmp_path: Path
) -> None:
    assert unpack(image, store, tmp_path / "out") == []
    assert dump(tmp_path / "out") == {
        "bin": "link -> usr/bin",
        "etc": f"folder 0700 0:0 {EPOCH}",
        "etc/motd": f"file 0640 5:7 {EPOCH} above",
        "usr": f"folder 0755 0:0 {EPOCH}",
        "usr/bin": f"folder 0755 0:0 {EPOCH}",
        "usr/bin/also": f"file 4755 0:0 {EPOCH} ELF",
        "usr/bin/true": f"file 4755 0:0 {EPOCH} ELF",
    }
    assert (tmp_path / "out/usr/bin/also").samefile(tmp_path / "out/usr/bin/true")
    assert int((tmp_path / "out/bin").lstat().st_mtime) == EPOCH
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o755


@needs_root
def test_capabilities_and_setuid_of_another_owner_survive(store: Store, tmp_path: Path) -> None:
    capability = bytes.fromhex("0100000202200000000000000000000000000000")[:20]
    entry = Entry("ping", FILE, 0o755, size=1, xattrs=(("security.capability", capability),))
    image = make_image(store, [NewFile(entry, b"x"), text("su", "x", 0o6755, 5, 7)])
    unpack(image, store, tmp_path / "out")
    assert os.getxattr(tmp_path / "out/ping", "security.capability") == capability
    assert dump(tmp_path / "out")["su"] == f"file 6755 5:7 {EPOCH} x"


def test_another_user_is_warned_that_owners_are_left_out(
    image: Image[Layer], store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert unpack(image, store, tmp_path / "out") == [
        Warned("owners are left out: only root can set them", where=str(tmp_path / "out"))
    ]
    assert (tmp_path / "out/etc/motd").read_text() == "above"


def test_unwritable_folders_can_be_filled(store: Store, tmp_path: Path) -> None:
    image = make_image(store, [folder("a", 0o555), folder("a/b", 0o500), text("a/b/c", "x", 0)])
    unpack(image, store, tmp_path / "out")
    assert (tmp_path / "out/a").stat().st_mode & 0o7777 == 0o555
    assert (tmp_path / "out/a/b/c").lstat().st_mode & 0o7777 == 0


def test_a_layer_above_replaces_whatever_is_there(store: Store, tmp_path: Path) -> None:
    image = make_image(
        store,
        [text("a", "1"), hard("b", "a"), folder("d"), text("d/x", "1"), link("l", "/etc"), folder("e")],
        [text("a", "2"), link("d", "e"), folder("l"), text("l/passwd", "mine"), text("e/n", "3")],
    )
    unpack(image, store, tmp_path / "out")
    found = {path: says.split()[-1] for path, says in dump(tmp_path / "out").items()}
    assert found == {
        "a": "2", "b": "1", "d": "e", "e": str(EPOCH), "e/n": "3", "l": str(EPOCH), "l/passwd": "mine",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([link("a", "/tmp"), text("a/evil", "x")], '"a/evil" of the image is not below a folder'),
        ([link("a", ".."), text("a/evil", "x")], '"a/evil" of the image is not below a folder'),
        ([link("a", ".."), folder("a/evil")], '"a/evil" of the image is not below a folder'),
        ([text("a", ""), text("a/b", "x")], '"a/b" of the image is not below a folder'),
        ([text("no/parent", "x")], '"no/parent" of the image is not below a folder'),
        ([text("../evil", "x")], '"../evil" is no path of an image'),
        ([text("a//b", "x")], '"a//b" is no path of an image'),
        ([link("a", "/etc"), hard("b", "a/passwd")], '"b" of the image is not below a folder'),
        ([hard("b", "../victim")], '"b" is no path of an image'),
        ([hard("b", "../../../etc/passwd")], '"b" is no path of an image'),
    ],
)
def test_no_entry_leads_out_of_the_folder(
    store: Store, tmp_path: Path, files: list[NewFile], message: str
) -> None:
    place = tmp_path / "in/out"
    place.parent.mkdir()
    with pytest.raises(PublishError) as caught:
        unpack(make_image(store, files), store, place)
    assert caught.value.render() == f"error: {place}: {message}"
    assert list(place.parent.iterdir()) == []
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cache", "in"]


def test_a_hard_link_to_a_link_is_not_followed(store: Store, tmp_path: Path) -> None:
    unpack(make_image(store, [link("a", "/etc/passwd"), hard("b", "a")]), store, tmp_path / "out")
    assert (tmp_path / "out/b").is_symlink()


def test_a_folder_that_is_not_empty_is_refused(
    image: Image[Layer], store: Store, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    unpack(image, store, tmp_path / "out")
    with pytest.raises(PublishError) as caught:
        unpack(image, store, tmp_path / "out")
    assert caught.value.render() == (
        f"error: {tmp_path}/out: is a folder that is not empty\n\nhint: remove it first"
    )
    with pytest.raises(PublishError) as caught:
        unpack(image, store, tmp_path / "out/etc/motd")
    assert caught.value.render() == f"error: {tmp_path}/out/etc/motd: is a file, not a folder"


def test_what_a_killed_run_left_goes_and_a_living_one_is_told(
    image: Image[Layer], store: Store, tmp_path: Path
) -> None:
    import fcntl

    part = tmp_path / ".out.imgbuild-part"
    (part / "half").mkdir(parents=True)
    descriptor = os.open(part, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with pytest.raises(PublishError) as caught:
        unpack(image, store, tmp_path / "out")
    assert caught.value.render() == f"error: {tmp_path}/out: is being written by another process"
    os.close(descriptor)
    unpack(image, store, tmp_path / "out")
    assert not part.exists()
    assert not (tmp_path / "out/half").exists()


def test_an_interrupted_run_leaves_nothing(
    image: Image[Layer], store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(rootfs._Writer, "finish", interrupt)
    with pytest.raises(KeyboardInterrupt):
        unpack(image, store, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]
