"""The spec's files without a source."""

from __future__ import annotations

import pytest

from builder.effects.accounts import build_accounts
from builder.effects.files import permission_reads, spec_files
from builder.errors import SpecError
from builder.spec.model import FileEntry, User
from builder.tree.entries import DIRECTORY, FILE, HARDLINK, SYMLINK, Entry, NewFile

ENTRIES = {
    entry.path: entry
    for entry in (
        Entry("usr/bin/ping", FILE, 0o755, 1, 2, 99, size=4),
        Entry("usr/bin/ping6", HARDLINK, 0o755, 1, 2, 99, target="usr/bin/ping"),
        Entry("usr/bin/sh", SYMLINK, 0o777, target="dash"),
        Entry("srv", DIRECTORY, 0o755),
    )
}
ACCOUNTS = build_accounts(None, users=(User(name="app", uid=10001),))


def made(*files: FileEntry) -> tuple[NewFile, ...]:
    reads = permission_reads(files, ENTRIES)
    return spec_files(files, ACCOUNTS, ENTRIES, dict.fromkeys(reads, b"ELF!").get)


def test_texts_links_and_folders_are_made_in_their_order() -> None:
    assert made(
        FileEntry(path="/etc/motd", text="hi\n", owner="app", mode=0o600),
        FileEntry(path="/app", source="./app"),
        FileEntry(path="/etc/empty", text=""),
        FileEntry(path="/usr/bin/vi", link="nano"),
        FileEntry(path="/var/data/", is_directory=True, owner="app"),
    ) == (
        NewFile.regular("etc/motd", b"hi\n", mode=0o600, uid=10001, gid=10001),
        NewFile.regular("etc/empty", b""),
        NewFile(Entry("usr/bin/vi", SYMLINK, 0o777, target="nano")),
        NewFile(Entry("var/data", DIRECTORY, 0o755, 10001, 10001)),
    )


def test_permissions_change_what_is_said_and_keep_the_rest() -> None:
    mode, owner, group, folder, link = made(
        FileEntry(path="/usr/bin/ping", mode=0o4755),
        FileEntry(path="/usr/bin/ping6", owner="app"),
        FileEntry(path="/usr/bin/ping", group="app"),
        FileEntry(path="/srv", owner="app", mode=0o700),
        FileEntry(path="/usr/bin/sh", owner="app"),
    )
    assert mode == NewFile(Entry("usr/bin/ping", FILE, 0o4755, 1, 2, 99, size=4), b"ELF!")
    assert owner == NewFile(Entry("usr/bin/ping6", FILE, 0o755, 10001, 10001, 99, size=4), b"ELF!")
    assert group == NewFile(Entry("usr/bin/ping", FILE, 0o755, 1, 10001, 99, size=4), b"ELF!")
    assert folder == NewFile(Entry("srv", DIRECTORY, 0o700, 10001, 10001))
    assert link == NewFile(Entry("usr/bin/sh", SYMLINK, 0o777, 10001, 10001, target="dash"))


def test_only_files_that_keep_their_content_are_read() -> None:
    files = [FileEntry(path=f"/{path}", mode=0o600) for path in (*ENTRIES, "gone")]
    assert permission_reads(files, ENTRIES) == ("usr/bin/ping",)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        (
            FileEntry(path="/usr/bin/pong", mode=0o755),
            (
                'error: files[0]: "/usr/bin/pong" is not in the image, so its permissions cannot be'
                " changed"
                "\n\nhint: give it text, source, link or directory to make it, or the package that"
                " brings it"
            ),
        ),
        (
            FileEntry(path="/usr/bin/sh", mode=0o755),
            'error: files[0]: "/usr/bin/sh" is a symbolic link, which has no mode of its own',
        ),
        (
            FileEntry(path="/x", text="", owner="nobdy"),
            (
                'error: files[0]: owner "nobdy" is no user of the image'
                "\n\nhint: the image has the users root, nobody, app"
            ),
        ),
    ],
)
def test_what_cannot_be_is_told(file: FileEntry, text: str) -> None:
    with pytest.raises(SpecError) as caught:
        made(file)
    assert caught.value.render() == text
