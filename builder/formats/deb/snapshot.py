"""How a deb repository is found and verified: InRelease, else Release with Release.gpg (SecureApt).

A generator of requests and answers (see `PackageFormat.snapshot`): it asks for files by `Want`, is
sent open streams or None, and returns a `Snapshot` of which every word was signed.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import BinaryIO

from builder.digests import Digest
from builder.errors import TrustError
from builder.formats.deb.release import check_release, index_references, parse_release
from builder.packages import Freshness, Snapshot, Source, Want
from builder.tree.entries import clean_path
from builder.trust.openpgp import Verified, unverified_text, verify_clearsigned, verify_detached

# apt's Acquire::MaxReleaseFileSize; Debian's largest are a fifth of a megabyte.
_RELEASE_LIMIT = 10_000_000
_SIGNATURE_LIMIT = 1_000_000

Wants = Generator[Want, BinaryIO | None, "tuple[Verified, str]"]


def snapshot(
    source: Source, keyring: bytes, freshness: Freshness
) -> Generator[Want, BinaryIO | None, Snapshot]:
    """Find and verify the present state of SOURCE. Raises `TrustError`."""
    base = suite_folder(source)
    verified, path = yield from _verified(source, base, keyring, freshness.now)
    what = _what(source, path)
    release = parse_release(verified.content, what)
    check_release(release, source, freshness, what)
    return Snapshot(
        repository=source.repository,
        suite=source.suite,
        codename=release.codename or release.suite,
        origin=release.origin,
        date=release.date,
        valid_until=release.valid_until,
        digest=Digest.of(verified.content),
        signers=verified.signers,
        is_security=source.is_security,
        indexes=index_references(release, source, base, what),
    )


def suite_folder(source: Source) -> str:
    """Return the folder of SOURCE's suite below the archive root: "" or a path that ends in "/"."""
    try:
        path = clean_path(source.suite)
    except ValueError as error:
        raise TrustError(f"suite {source.suite!r}: {error}", where=source.repository) from error
    if source.suite.endswith("/"):
        return f"{path}/" if path else ""
    return f"dists/{path}/"


def _verified(source: Source, base: str, keyring: bytes, now: int) -> Wants:
    """Return the signed bytes and the path they came from."""
    inline = yield Want(path=f"{base}InRelease", limit=_RELEASE_LIMIT, optional=True)
    if inline is not None:
        path = f"{base}InRelease"
        what = _what(source, path)
        data = inline.read()
        if source.is_trusted_unsigned:
            return Verified(content=unverified_text(data, what=what), signers=()), path
        return verify_clearsigned(data, keyring, now=now, what=what, keys=source.keys), path
    path = f"{base}Release"
    what = _what(source, path)
    stream = yield Want(path=path, limit=_RELEASE_LIMIT)
    assert stream is not None, "only an optional Want is answered with None"
    content = stream.read()
    if source.is_trusted_unsigned:
        return Verified(content=content, signers=()), path
    signature = yield Want(path=f"{path}.gpg", limit=_SIGNATURE_LIMIT, optional=True)
    if signature is None:
        raise TrustError(
            "the release is not signed",
            where=what,
            hint='a repository without signatures is used only with "trust: unsigned"',
        )
    return (
        verify_detached(content, signature.read(), keyring, now=now, what=what, keys=source.keys),
        path,
    )


def _what(source: Source, path: str) -> str:
    return f"{source.repository} {path}"
