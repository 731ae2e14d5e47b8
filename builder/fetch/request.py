"""What is asked of a mirror, and where a mirror keeps it."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from builder.digests import Digest
from builder.errors import FetchError


class Request(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One file of a repository.

    repository, location  which mirrors serve it (`builder.packages.Source`)
    path                  below the archive root, not quoted
    limit                 bytes at most; the exact size where ``is_exact``
    digest                its sha256, or None for a file whose trust comes from inside
    optional              that no mirror has it is an answer, not an error
    """

    repository: str
    location: str
    path: str
    limit: int
    digest: Digest | None = None
    is_exact: bool = False
    optional: bool = False


class Address(NamedTuple):
    """Where a file is: a URL that may be shown, and apart from it what opens the door.

    path         of a local file, else ""
    credentials  user and password for the URL's own host, or None
    """

    url: str
    path: str = ""
    credentials: tuple[str, str] | None = None


def address(base: str, path: str) -> Address:
    """Return where PATH is on the mirror BASE: http, https, file, or a folder as a plain path.

    `FetchError` for another scheme, or for a PATH that leaves the mirror.
    """
    from urllib.parse import quote, unquote, urlsplit, urlunsplit

    path = _inside(path)
    if base.startswith("/"):
        local = f"{base.rstrip('/')}/{path}"
        return Address(local, local)
    parts = urlsplit(base)
    if parts.scheme == "file" and parts.netloc in {"", "localhost"}:
        local = f"{unquote(parts.path).rstrip('/')}/{path}"
        return Address(local, local)
    host = parts.netloc.rpartition("@")[2]
    if parts.scheme not in {"http", "https"} or not host:
        shown = urlunsplit((parts.scheme, host, parts.path, "", ""))
        raise FetchError(
            "a mirror is an http, https or file URL, or the path of a folder",
            where=shown,
            hint="correct the mirror in the spec, with --mirror, or where the host's own tools name it",
        )
    # RFC 3986 lets + stand in a path, but some object stores read it as a space: quoted, as apt does.
    url = urlunsplit((parts.scheme, host, f"{parts.path.rstrip('/')}/{quote(path)}", "", ""))
    credentials = None
    if parts.username is not None:
        credentials = unquote(parts.username), unquote(parts.password or "")
    return Address(url, "", credentials)


def _inside(path: str) -> str:
    """Return PATH without ``.`` parts; `FetchError` if it could name something outside a mirror."""
    parts = [part for part in path.split("/") if part != "."]
    if not path or "" in parts or ".." in parts or not path.isprintable() or "\\" in path:
        raise FetchError(f"not a path below an archive's root: {path[:200]!r}")
    return "/".join(parts)
