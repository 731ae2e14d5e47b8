"""The image's tree as a folder of this machine.

Nothing is reached through a path of the image: each parent is opened from the root down with
``O_NOFOLLOW``, and the last part is made by name in it, so no link that a layer brings leads out.
As root, everything is as in the image; as another user owners are left out, and extended attributes
where the system refuses them, each said once in a warning.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sys
from typing import IO

from builder.errors import PublishError
from builder.image.image import PlatformImage
from builder.layers.parts import Layer
from builder.publish import placing
from builder.publish.members import read_members
from builder.publish.streams import Blobs
from builder.reporting import Reporter, Warned
from builder.tree.entries import DIRECTORY, FILE, HARDLINK, Entry

_BLOCK = 1 << 18
_NO_FOLDER = frozenset({errno.ELOOP, errno.ENOTDIR, errno.ENOENT})
_NO_NAMES = frozenset({"", ".", ".."})
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def write_rootfs(image: PlatformImage[Layer], place: str, store: Blobs, report: Reporter) -> None:
    """Make folder PLACE (absent or empty) of the tree of IMAGE; layers above win over those below."""
    with placing.new_folder(place) as root:
        writer = _Writer(root, place)
        try:
            for layer in image.layers:
                for entry, content in read_members(store, layer):
                    writer.add(entry, content)
            writer.finish()
        finally:
            writer.close()
    for message in writer.warnings:
        report(Warned(message, where=place))


class _Writer:
    """Makes entries below one open folder; the folders' own modes and times are set last."""

    def __init__(self, root: int, place: str) -> None:
        self.warnings: list[str] = []
        self._root = root
        self._place = place
        self._is_root = os.geteuid() == 0
        self._folders: dict[str, Entry] = {}
        self._parent_path = ""
        self._parent = os.dup(root)

    def add(self, entry: Entry, content: IO[bytes] | None) -> None:
        """Make ENTRY, in place of whatever a layer below has there."""
        paths = (entry.path, entry.target) if entry.kind == HARDLINK else (entry.path,)
        if any(not _NO_NAMES.isdisjoint(path.split("/")) for path in paths):
            raise PublishError(f'"{entry.path}" is no path of an image', where=self._place)
        parent = self._open_parent(entry)
        name = entry.path.rpartition("/")[2]
        if entry.kind == DIRECTORY:
            self._add_folder(entry, parent, name)
            return
        self._clear(entry.path, parent, name)
        if entry.kind == HARDLINK:
            self._link(entry, parent, name)
        elif entry.kind == FILE:
            assert content is not None
            self._add_file(entry, parent, name, content)
        else:
            os.symlink(entry.target, name, dir_fd=parent)
            self._own(entry, name, parent)
            self._stamp(entry, name, parent)

    def finish(self) -> None:
        """Give the folders their owners, modes and times, the deepest first."""
        for path in sorted(self._folders, reverse=True):
            entry = self._folders[path]
            parent = self._open_parent(entry)
            descriptor = placing.open_folder(path.rpartition("/")[2], parent)
            try:
                self._set_all(entry, descriptor)
            finally:
                os.close(descriptor)
        os.fchmod(self._root, 0o755)
        os.utime(self._root, (0, 0))

    def close(self) -> None:
        """Give up the open folder."""
        os.close(self._parent)

    def _open_parent(self, entry: Entry) -> int:
        """Return the open folder that ENTRY is in, reached part by part, following no link."""
        return self._open(entry.path.rpartition("/")[0], entry)

    def _open(self, path: str, entry: Entry) -> int:
        if path == self._parent_path:
            return self._parent
        try:
            descriptor = self._walk(path.split("/") if path else [])
        except OSError as error:
            if error.errno in _NO_FOLDER:
                raise PublishError(
                    f'"{entry.path}" of the image is not below a folder', where=self._place
                ) from error
            raise
        os.close(self._parent)
        self._parent_path, self._parent = path, descriptor
        return descriptor

    def _walk(self, names: list[str]) -> int:
        """Open the folder that NAMES lead to from the root; a link among them is `OSError`."""
        descriptor = os.dup(self._root)
        for name in names:
            try:
                below = placing.open_folder(name, descriptor)
            finally:
                os.close(descriptor)
            descriptor = below
        return descriptor

    def _add_folder(self, entry: Entry, parent: int, name: str) -> None:
        try:
            os.mkdir(name, 0o700, dir_fd=parent)
        except FileExistsError:
            if entry.path not in self._folders:
                self._clear(entry.path, parent, name)
                os.mkdir(name, 0o700, dir_fd=parent)
        self._folders[entry.path] = entry

    def _clear(self, path: str, parent: int, name: str) -> None:
        """Remove what a layer below has at PATH, a folder with all that is in it."""
        if path not in self._folders:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=parent)
            return
        shutil.rmtree(name, dir_fd=parent)
        for folder in [each for each in self._folders if each == path or each.startswith(f"{path}/")]:
            del self._folders[folder]

    def _link(self, entry: Entry, parent: int, name: str) -> None:
        """Make the hard link: its file is found from the root too, in a folder opened for it."""
        held = os.dup(parent)
        try:
            source = self._open(entry.target.rpartition("/")[0], entry)
            target = entry.target.rpartition("/")[2]
            os.link(target, name, src_dir_fd=source, dst_dir_fd=held, follow_symlinks=False)
        finally:
            os.close(held)

    def _add_file(self, entry: Entry, parent: int, name: str, content: IO[bytes]) -> None:
        descriptor = os.open(name, _FLAGS, 0o600, dir_fd=parent)
        with open(descriptor, "wb") as stream:
            shutil.copyfileobj(content, stream, _BLOCK)
            stream.flush()
            self._set_all(entry, descriptor)

    def _set_all(self, entry: Entry, descriptor: int) -> None:
        """Set owner, then mode (chown takes setuid away), attributes (those too), time."""
        if self._is_root:
            os.fchown(descriptor, entry.uid, entry.gid)
        elif entry.uid or entry.gid:
            self._warn("owners are left out: only root can set them")
        os.fchmod(descriptor, entry.mode)
        for key, value in entry.xattrs:
            self._set_attribute(descriptor, key, value)
        os.utime(descriptor, (entry.mtime, entry.mtime))

    def _set_attribute(self, descriptor: int, key: str, value: bytes) -> None:
        if sys.platform != "linux":
            self._warn("extended attributes are left out: this system has none of Linux's")
            return
        try:
            os.setxattr(descriptor, key, value)
        except OSError as error:
            if self._is_root or error.errno not in (errno.EPERM, errno.ENOTSUP):
                raise
            self._warn(f"extended attributes {key} are left out: {os.strerror(error.errno).lower()}")

    def _own(self, entry: Entry, name: str, parent: int) -> None:
        if self._is_root:
            os.chown(name, entry.uid, entry.gid, dir_fd=parent, follow_symlinks=False)

    def _stamp(self, entry: Entry, name: str, parent: int) -> None:
        os.utime(name, (entry.mtime, entry.mtime), dir_fd=parent, follow_symlinks=False)

    def _warn(self, message: str) -> None:
        if message not in self.warnings:
            self.warnings.append(message)
