"""The unchanged rebuild: what was built of the same spec, lock and files, found without loading them.

After a build a record is kept in the store under a key of the bytes of spec and lock and of the
options that change bytes. It says which other files the image came from, and what it is. A warm build
reads those files, asks whether every destination has the image, and is done: no YAML, no tree.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from builder import __version__
from builder.digests import Digest, cache_key
from builder.pipeline.places import image_name
from builder.pipeline.vcs import find_origin

if TYPE_CHECKING:
    from builder.pipeline.build import Built
    from builder.pipeline.project import Project
    from builder.store.store import Store

_VERSION = 2  # 1 may hold images made before effects were generated over links


class Warm(NamedTuple):
    """An image that is built already.

    platforms  the words of each architecture, for those who print them
    name       the image's short name, of which the default destination is made
    """

    reference: str
    digest: Digest
    name: str
    blobs: tuple[tuple[Digest, int], ...]
    platforms: tuple[str, ...]


def find(
    store: Store,
    spec_path: str,
    lock_path: str,
    only: Sequence[str],
    environment: Mapping[str, str],
) -> Warm | None:
    """Return what was built of the same inputs; None where anything is new."""
    key = _key(spec_path, lock_path, only, environment)
    document = store.action(key) if key else None
    if document is None:
        return None
    record = json.loads(document)
    folder = os.path.dirname(os.path.abspath(spec_path))
    if any(_files(folder, base["files"]) != base["digests"] for base in record["bases"]):
        return None
    if any(_state(folder, source) != source["state"] for source in record["sources"]):
        return None
    return Warm(
        reference=record["reference"],
        digest=Digest(record["digest"]),
        name=record["name"],
        blobs=tuple((Digest(digest), size) for digest, size in record["blobs"]),
        platforms=tuple(record["platforms"]),
    )


def remember(
    store: Store,
    project: Project,
    built: Built,
    only: Sequence[str],
    environment: Mapping[str, str],
    began_ns: int,
) -> Warm:
    """Keep what BUILT is of; return it. Files that changed since BEGAN_NS are not trusted to `stat`."""
    image = built.image
    warm = Warm(
        reference=image.reference,
        digest=image.digest,
        name=image_name(image.reference),
        blobs=tuple((blob.descriptor.digest, blob.descriptor.size) for blob in image.blobs()),
        platforms=tuple(str(each.platform) for each in image.images),
    )
    key = _key(project.spec_path, project.lock_path, only, environment)
    sources = _sources(project, began_ns)
    if key is None or sources is None:
        return warm
    bases = [
        {"files": paths, "digests": _files(project.folder, paths)}
        for base in project.chain()[:-1]
        if (paths := [_relative(project, base.spec_path), _relative(project, base.lock_path)])
    ]
    record = {
        "reference": warm.reference,
        "digest": warm.digest,
        "name": warm.name,
        "blobs": warm.blobs,
        "platforms": warm.platforms,
        "bases": bases,
        "sources": sources,
    }
    store.record(key, json.dumps(record).encode())
    return warm


def now_ns() -> int:
    """Return the time that `remember` holds local files against."""
    return time.time_ns()


# ---- keys and states -----------------------------------------------------------------------------


def _key(
    spec_path: str, lock_path: str, only: Sequence[str], environment: Mapping[str, str]
) -> Digest | None:
    """Return the key of a build; None where spec or lock is not there."""
    spec, lock = _digest(spec_path), _digest(lock_path)
    if spec is None or lock is None:
        return None
    source, revision = find_origin(os.path.dirname(os.path.abspath(spec_path)))
    return cache_key(
        "build",
        _VERSION,
        {
            "program": __version__,
            "name": os.path.basename(spec_path),
            "spec": spec,
            "lock": lock,
            "only": tuple(sorted(set(only))),
            "epoch": environment.get("SOURCE_DATE_EPOCH", ""),
            "origin": [source, revision],
        },
    )


def _digest(path: str) -> Digest | None:
    try:
        with open(path, "rb") as stream:
            return Digest.of(stream.read())
    except OSError:
        return None


def _files(folder: str, paths: Sequence[str]) -> list[str | None]:
    return [_digest(os.path.join(folder, path)) for path in paths]


def _relative(project: Project, path: str) -> str:
    return os.path.relpath(os.path.abspath(path), project.folder)


def _sources(project: Project, began_ns: int) -> list[dict[str, Any]] | None:
    """Return the states of all local files of PROJECT and its bases; None if one cannot be kept."""
    found = []
    for each in project.chain():
        files = [[file.path, file.source] for file in each.spec.files if file.source]
        if not files:
            continue
        from builder.fragments.local import is_settled
        from builder.pipeline.rules import exclusions

        patterns = exclusions(each.spec)
        sources = [file for file in each.spec.files if file.source]
        if not is_settled(each.folder, sources, patterns, began_ns):
            return None
        folder = os.path.relpath(each.folder, project.folder)
        source = {"folder": folder, "files": files, "patterns": list(patterns)}
        found.append({**source, "state": _state(project.folder, source)})
    return found


def _state(folder: str, source: Mapping[str, Any]) -> str | None:
    """Return what ``stat`` says of the local files of SOURCE; None where they cannot be read."""
    from builder.errors import SpecError
    from builder.fragments.local import quick_state
    from builder.spec.model import FileEntry

    files = [FileEntry(path=path, source=name) for path, name in source["files"]]
    try:
        return quick_state(os.path.join(folder, source["folder"]), files, source["patterns"])
    except SpecError:
        return None
