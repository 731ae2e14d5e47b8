"""Whether a destination holds an image already: asked by every unchanged build, so it imports little."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import Any

from builder.digests import Digest
from builder.errors import PublishError
from builder.publish.destinations import Destination
from builder.publish.references import full_reference

REF_NAME = "org.opencontainers.image.ref.name"
# No manifest is larger: registries refuse it.
_MAX_DOCUMENT = 8 << 20


def is_current(
    destination: Destination, reference: str, digest: Digest, blobs: Iterable[tuple[Digest, int]]
) -> bool:
    """Whether DESTINATION holds image DIGEST as REFERENCE already, with all BLOBS by their sizes.

    Stats files and reads index.json, no more. Only an OCI layout can be current: the other kinds do
    not say what they were made of and are written anew.
    """
    return destination.kind == "oci" and _holds(destination.place, reference, digest, blobs)


def _holds(place: str, reference: str, digest: Digest, blobs: Iterable[tuple[Digest, int]]) -> bool:
    """Whether layout PLACE names image DIGEST by REFERENCE and has all BLOBS, by their sizes alone."""
    try:
        manifests = read_manifests(place)
        is_named = any(
            each.get("digest") == digest and reference_of(each) == full_reference(reference)
            for each in manifests
        )
        return is_named and all(os.stat(blob_path(place, blob)).st_size == size for blob, size in blobs)
    except (OSError, PublishError):
        return False


def blob_path(place: str, digest: Digest) -> str:
    """Return where layout PLACE keeps blob DIGEST."""
    return f"{place}/blobs/{digest.algorithm}/{digest.hex}"


def read_manifests(place: str) -> list[dict[str, Any]]:
    """Return the descriptors of index.json."""
    manifests = decoded(f"{place}/index.json").get("manifests")
    if not isinstance(manifests, list) or not all(isinstance(each, dict) for each in manifests):
        raise PublishError("is no image index: it has no list of manifests", where=f"{place}/index.json")
    return manifests


def decoded(path: str) -> dict[str, Any]:
    """Return the JSON object that file PATH holds."""
    with open(path, "rb") as stream:
        content = stream.read(_MAX_DOCUMENT)
    try:
        decoded = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise PublishError(f"is not JSON: {error}", where=path) from None
    if not isinstance(decoded, dict):
        raise PublishError("is not a JSON object", where=path)
    return decoded


def reference_of(descriptor: dict[str, Any]) -> str | None:
    """Return the reference name that DESCRIPTOR carries."""
    annotations = descriptor.get("annotations")
    return annotations.get(REF_NAME) if isinstance(annotations, dict) else None
