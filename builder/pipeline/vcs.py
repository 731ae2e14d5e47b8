"""Where a spec comes from: remote and commit of the git work tree it lies in.

Read from git's own files (gitrepository-layout(5)), not by running git: a warm build has no time to
start a process, and a machine that builds need not have git. Whether the tree has changes that are
not committed is not looked at.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import NamedTuple


class Origin(NamedTuple):
    """``source`` is a URL without credentials or "", ``revision`` a commit's hex digits or ""."""

    source: str = ""
    revision: str = ""


def find_origin(folder: str) -> Origin:
    """Return the origin of FOLDER; empty outside a work tree and where git's files are unusual."""
    git = _git_folder(os.path.abspath(folder))
    if git is None:
        return Origin()
    common = os.path.join(git, _first_line(os.path.join(git, "commondir")) or ".")
    return Origin(_remote(os.path.join(common, "config")), _revision(git, common))


def _git_folder(folder: str) -> str | None:
    """Return the folder with git's files for the work tree that holds FOLDER."""
    while True:
        candidate = os.path.join(folder, ".git")
        if os.path.isdir(candidate):
            return candidate
        if os.path.isfile(candidate):  # a submodule, or "git worktree add"
            kind, _, path = _first_line(candidate).partition(": ")
            return os.path.join(folder, path) if kind == "gitdir" else None
        parent = os.path.dirname(folder)
        if parent == folder:
            return None
        folder = parent


def _revision(git: str, common: str) -> str:
    head = _first_line(os.path.join(git, "HEAD"))
    if not head.startswith("ref: "):
        return _commit(head)
    name = head.removeprefix("ref: ")
    for place in (git, common):
        if commit := _commit(_first_line(os.path.join(place, name))):
            return commit
    for line in _lines(os.path.join(common, "packed-refs")):
        commit, _, packed = line.partition(" ")
        if packed == name:
            return _commit(commit)
    return ""


def _commit(text: str) -> str:
    return text if re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", text) else ""


def _remote(config: str) -> str:
    """Return the URL of remote ``origin`` in git's CONFIG, in a form that a browser takes."""
    section = ""
    for line in _lines(config):
        text = line.strip()
        if text.startswith("["):
            section = text
        elif section == '[remote "origin"]' and (found := re.match(r'url\s*=\s*"?([^\s"]+)"?$', text)):
            return _public(found[1])
    return ""


def _public(url: str) -> str:
    """Return URL without user and password, ``git@host:path`` as ``https://host/path``; "" if local."""
    url = re.split(r"[?#]", url, maxsplit=1)[0]  # a token may stand there
    if scp := re.fullmatch(r"(?:[\w.-]+@)?([\w.-]+\.[\w-]+):(?!/)(.+)", url):
        return f"https://{scp[1]}/{scp[2].removesuffix('.git')}"
    if found := re.fullmatch(r"(https?|ssh|git)://(?:[^@/]*@)?([^/:]+)(:\d+)?/(.+)", url):
        port = found[3] or ""
        if found[1] in ("ssh", "git"):
            return f"https://{found[2]}/{found[4].removesuffix('.git')}"
        return f"{found[1]}://{found[2]}{port}/{found[4].removesuffix('.git')}"
    return ""


def _first_line(path: str) -> str:
    return next(_lines(path), "")


def _lines(path: str) -> Iterator[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            for line in stream:
                yield line.rstrip("\n")
    except OSError:
        return
