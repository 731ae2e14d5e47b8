"""The OCI image layout (image-spec, image-layout.md): a folder that may hold several images.

    DIR/oci-layout             {"imageLayoutVersion":"1.0.0"}; written first
    DIR/index.json             which images; replaced last, in one step
    DIR/blobs/sha256/HEX       manifests, configs, layers

DIR itself is locked (``flock``) while it is changed. Until index.json is replaced the layout is what
it was, with blobs to spare; the next run removes those. Another image's reference stays; the same
reference is replaced, and what only it needed goes.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from builder.digests import Digest, Json, canonical_json
from builder.errors import PublishError
from builder.image.image import Image
from builder.layers.parts import Layer
from builder.publish import placing
from builder.publish.current import REF_NAME, blob_path, decoded, read_manifests, reference_of
from builder.publish.references import engine_name, full_reference
from builder.publish.streams import Blobs, blob_blocks

OCI_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
_INDEX = "application/vnd.oci.image.index.v1+json"
_CONTAINERD_NAME = "io.containerd.image.name"
_BLOBS = "blobs/sha256"
_PART = f"{_BLOBS}/.imgbuild-part"
_HEX_NAME = re.compile(r"[0-9a-f]{64}")


def write_layout(image: Image[Layer], place: str, store: Blobs) -> None:
    """Put IMAGE into the layout PLACE, which is made if it is absent or an empty folder."""
    with placing.translated(place), _locked(place) as is_new:
        others = _other_images(place, full_reference(image.reference))
        try:
            _fill(image, place, store)
            _write(f"{place}/index.json", [index_json(image, others)])
        except BaseException:
            _undo(place, is_new=is_new)
            raise
        _remove_unreferenced(place)


def _fill(image: Image[Layer], place: str, store: Blobs) -> None:
    """Put all of IMAGE but its place in the index into the layout."""
    _write(f"{place}/oci-layout", [OCI_LAYOUT])
    os.makedirs(f"{place}/{_BLOBS}", exist_ok=True)
    for blob in image.blobs():
        _add_blob(place, blob.descriptor.digest, blob.descriptor.size, blob_blocks(store, blob))


def index_json(image: Image[Layer], others: Sequence[dict[str, Any]] = ()) -> bytes:
    """Return index.json with IMAGE behind the descriptors OTHERS."""
    reference = image.reference
    own: dict[str, Json] = {
        "mediaType": image.descriptor.media_type,
        "digest": image.digest,
        "size": image.descriptor.size,
        "annotations": {
            _CONTAINERD_NAME: engine_name(reference),
            REF_NAME: full_reference(reference),
        },
    }
    return canonical_json({"schemaVersion": 2, "mediaType": _INDEX, "manifests": [*others, own]})


# ---- what is there already -----------------------------------------------------------------------


@contextmanager
def _locked(place: str) -> Iterator[bool]:
    """Hold the lock of folder PLACE, making it if it is absent; whether it was."""
    try:
        os.mkdir(place)
        is_new = True
    except FileExistsError:
        is_new = False
    try:
        descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except NotADirectoryError:
        raise PublishError("is a file, not a folder", where=place) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield is_new
    finally:
        os.close(descriptor)


def _other_images(place: str, reference: str) -> tuple[dict[str, Any], ...]:
    """Return the descriptors of the layout PLACE that are not REFERENCE's; refuse what is no layout."""
    names = [name for name in os.listdir(place) if not name.endswith(".imgbuild-part")]
    if not names:
        return ()
    if "oci-layout" not in names:
        raise PublishError(
            "is a folder with other things in it, not an OCI layout",
            where=place,
            hint="choose a folder that is empty, absent or an OCI layout",
        )
    version = decoded(f"{place}/oci-layout").get("imageLayoutVersion")
    if version != "1.0.0":
        raise PublishError(f"is an OCI layout of version {version!r}, not 1.0.0", where=place)
    if "index.json" not in names:
        return ()
    return tuple(each for each in read_manifests(place) if reference_of(each) != reference)


# ---- writing -------------------------------------------------------------------------------------


def _write(path: str, blocks: Iterable[bytes]) -> None:
    """Make file PATH of BLOCKS unless that is what it holds."""
    content = b"".join(blocks)
    try:
        with open(path, "rb") as stream:
            if stream.read(len(content) + 1) == content:
                return
    except FileNotFoundError:
        pass
    with placing.new_file(path) as stream:
        stream.write(content)


def _add_blob(place: str, digest: Digest, size: int, blocks: Iterator[bytes]) -> None:
    """Add blob DIGEST unless it is there and right; BLOCKS checks itself at its end."""
    path = blob_path(place, digest)
    if _is_blob(path, digest, size):
        return
    part = f"{place}/{_PART}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(part, flags, 0o666), "wb") as stream:
        stream.writelines(blocks)
    os.replace(part, path)


def _is_blob(path: str, digest: Digest, size: int) -> bool:
    """Whether file PATH is blob DIGEST of SIZE bytes."""
    try:
        with open(path, "rb", buffering=0) as stream:
            if os.fstat(stream.fileno()).st_size != size:
                return False
            return hashlib.file_digest(stream, digest.algorithm).hexdigest() == digest.hex
    except OSError:
        return False


# ---- taking away ---------------------------------------------------------------------------------


def _undo(place: str, *, is_new: bool) -> None:
    """Take back what a failed run put beside the images that are named."""
    for path in (f"{place}/.{name}.imgbuild-part" for name in ("oci-layout", "index.json")):
        _remove(path)
    if os.path.exists(f"{place}/index.json"):
        _remove_unreferenced(place)
        return
    _remove_blobs(place, frozenset())
    _remove(f"{place}/oci-layout")
    for folder in (f"{place}/{_BLOBS}", f"{place}/blobs", *([place] if is_new else [])):
        try:
            os.rmdir(folder)
        except OSError:
            return


def _remove_unreferenced(place: str) -> None:
    """Remove the blobs that nothing in index.json leads to; none if that cannot be told."""
    seen: set[str] = set()
    try:
        queue = list(read_manifests(place))
        while queue:
            descriptor = queue.pop()
            digest = Digest.parse(str(descriptor.get("digest")))
            if digest in seen:
                continue
            seen.add(digest)
            if str(descriptor.get("mediaType")).endswith("json"):
                queue += _descriptors(decoded(blob_path(place, digest)))
    except (OSError, PublishError, ValueError):
        return
    _remove_blobs(place, seen)


def _descriptors(document: Any) -> Iterator[dict[str, Any]]:
    """Yield every object of DOCUMENT, however deep, that has a digest and a media type."""
    if isinstance(document, dict):
        if "digest" in document and "mediaType" in document:
            yield document
        document = list(document.values())
    if isinstance(document, list):
        for each in document:
            yield from _descriptors(each)


def _remove_blobs(place: str, kept: Container[str]) -> None:
    """Remove the blobs of the layout but KEPT, and what a killed run left of one."""
    _remove(f"{place}/{_PART}")
    try:
        names = os.listdir(f"{place}/{_BLOBS}")
    except OSError:
        return
    for name in names:
        if _HEX_NAME.fullmatch(name) and f"sha256:{name}" not in kept:
            _remove(f"{place}/{_BLOBS}/{name}")


def _remove(path: str) -> None:
    """Remove file PATH; one that has gone or cannot go costs space, no more."""
    with contextlib.suppress(OSError):
        os.unlink(path)
