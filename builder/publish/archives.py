"""An image as one tar: of an OCI layout, or in the form of ``docker save``.

Both are functions of the image alone: fixed order, no time, no owner.
"""

from __future__ import annotations

from typing import BinaryIO

from builder.digests import Json, canonical_json
from builder.image.image import Image
from builder.layers.parts import Layer
from builder.layers.tar import END_MARK
from builder.publish.layout import OCI_LAYOUT, index_json
from builder.publish.members import write_folder, write_member
from builder.publish.references import engine_name
from builder.publish.streams import Blobs, blob_blocks, read_tar


def write_oci_archive(image: Image[Layer], stream: BinaryIO, store: Blobs) -> None:
    """Write the layout that holds IMAGE alone as a tar (image-spec, image-layout.md)."""
    index = index_json(image)
    write_member(stream, "oci-layout", len(OCI_LAYOUT), [OCI_LAYOUT])
    write_member(stream, "index.json", len(index), [index])
    write_folder(stream, "blobs")
    write_folder(stream, "blobs/sha256")
    for blob in image.blobs():
        name = f"blobs/sha256/{blob.descriptor.digest.hex}"
        write_member(stream, name, blob.descriptor.size, blob_blocks(store, blob))
    stream.write(END_MARK)


def write_docker_archive(image: Image[Layer], stream: BinaryIO, store: Blobs) -> None:
    """Write the one part of IMAGE as ``docker load`` takes it.

    manifest.json, the config, and the layers decompressed and named by their diff id (moby,
    image/tarexport/load.go: each name of ``Layers`` is a path in the archive).
    """
    (part,) = image.images
    config = f"{part.config_descriptor.digest.hex}.json"
    entry: dict[str, Json] = {
        "Config": config,
        "RepoTags": [engine_name(image.reference)],
        "Layers": [f"{layer.diff_id.hex}.tar" for layer in part.layers],
    }
    manifest = canonical_json([entry])
    write_member(stream, "manifest.json", len(manifest), [manifest])
    write_member(stream, config, len(part.config), [part.config])
    for layer in {layer.diff_id: layer for layer in part.layers}.values():
        write_member(stream, f"{layer.diff_id.hex}.tar", layer.tar_size, read_tar(store, layer))
    stream.write(END_MARK)
