"""Images: manifest and index bytes, and one value that every destination takes.

An image for one architecture *is* its manifest; for several it is an index of manifests
(image-spec 1.1: manifest.md, image-index.md). Destinations take `Image.blobs`, which yields each
blob once, what is referred to before what refers to it, so a registry never sees a dangling one.

>>> from builder.spec.model import Config
>>> one = platform_image(Config(), Platform(os="linux", architecture="amd64"), (), created=0)
>>> image = assemble_image("app", [one])
>>> [blob.descriptor.media_type.rpartition(".")[2] for blob in image.blobs()]
['v1+json', 'v1+json']
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from builder.digests import Digest
from builder.image.config import LayerLike, Platform, compact_json, config_bytes
from builder.spec.model import Config, Pairs

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPES = {
    "zstd": "application/vnd.oci.image.layer.v1.tar+zstd",
    "gzip": "application/vnd.oci.image.layer.v1.tar+gzip",
}

LayerT = TypeVar("LayerT", bound=LayerLike)


class Descriptor(msgspec.Struct, frozen=True, kw_only=True):
    """What refers to a blob (image-spec, descriptor.md)."""

    media_type: str
    digest: Digest
    size: int
    annotations: Pairs = ()
    platform: Platform | None = None

    @classmethod
    def of(cls, media_type: str, content: bytes, platform: Platform | None = None) -> Descriptor:
        """Return the descriptor of CONTENT."""
        return cls(
            media_type=media_type, digest=Digest.of(content), size=len(content), platform=platform
        )

    def fields(self) -> dict[str, Any]:
        """Return the JSON object."""
        fields: dict[str, Any] = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        if self.annotations:
            fields["annotations"] = dict(self.annotations)
        if self.platform:
            fields["platform"] = self.platform.fields()
        return fields


class PlatformImage(msgspec.Struct, Generic[LayerT], frozen=True, kw_only=True):
    """The image of one platform; ``layers`` bottom first, the base's included."""

    platform: Platform
    descriptor: Descriptor
    manifest: bytes
    config_descriptor: Descriptor
    config: bytes
    layers: tuple[LayerT, ...]


class Blob(NamedTuple, Generic[LayerT]):
    """One blob of an image: its bytes, or the layer to stream them from."""

    descriptor: Descriptor
    content: bytes | LayerT


class Image(msgspec.Struct, Generic[LayerT], frozen=True, kw_only=True):
    """A whole image.

    reference   as the spec says: ``registry.example.com/team/app:1``
    descriptor  of the index if there is one, else of the only manifest: the image's digest
    """

    reference: str
    descriptor: Descriptor
    images: tuple[PlatformImage[LayerT], ...]
    index: bytes | None = None

    @property
    def digest(self) -> Digest:
        """The digest that the image is known by."""
        return self.descriptor.digest

    def blobs(self) -> Iterator[Blob[LayerT]]:
        """Yield each blob once, layers and configs before manifests, the index last."""
        seen: set[Digest] = set()
        for image in self.images:
            blobs = [
                *(Blob(layer_descriptor(layer), layer) for layer in image.layers),
                Blob(image.config_descriptor, image.config),
                Blob(image.descriptor, image.manifest),
            ]
            for blob in blobs:
                if blob.descriptor.digest not in seen:
                    seen.add(blob.descriptor.digest)
                    yield blob
        if self.index is not None:
            yield Blob(self.descriptor, self.index)


def platform_image(
    config: Config,
    platform: Platform,
    layers: Sequence[LayerT],
    *,
    created: int,
    annotations: Pairs = (),
) -> PlatformImage[LayerT]:
    """Return the image of one platform; CREATED is the epoch, ANNOTATIONS the manifest's, sorted."""
    content = config_bytes(config, platform, layers, created=created)
    config_descriptor = Descriptor.of(CONFIG_TYPE, content)
    fields: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": config_descriptor.fields(),
        "layers": [layer_descriptor(layer).fields() for layer in layers],
    }
    if annotations:
        fields["annotations"] = dict(annotations)
    manifest = compact_json(fields)
    return PlatformImage(
        platform=platform,
        descriptor=Descriptor.of(MANIFEST_TYPE, manifest, platform),
        manifest=manifest,
        config_descriptor=config_descriptor,
        config=content,
        layers=tuple(layers),
    )


def assemble_image(
    reference: str, images: Sequence[PlatformImage[LayerT]], *, annotations: Pairs = ()
) -> Image[LayerT]:
    """Return the whole image: one platform's own manifest, or an index of several, in their order."""
    if len(images) == 1:
        return Image(reference=reference, descriptor=images[0].descriptor, images=tuple(images))
    fields: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": INDEX_TYPE,
        "manifests": [image.descriptor.fields() for image in images],
    }
    if annotations:
        fields["annotations"] = dict(annotations)
    index = compact_json(fields)
    descriptor = Descriptor.of(INDEX_TYPE, index)
    return Image(reference=reference, descriptor=descriptor, images=tuple(images), index=index)


def layer_descriptor(layer: LayerLike) -> Descriptor:
    """Return the descriptor of a layer."""
    return Descriptor(media_type=layer.media_type, digest=layer.digest, size=layer.size)
