"""The exact bytes of config, manifest and index, and whether schemas and real tools take them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from builder.digests import Digest
from builder.image.annotations import Facts, image_annotations
from builder.image.config import DEFAULT_PATH, Platform, config_bytes, inherit
from builder.image.image import Image, assemble_image, platform_image
from builder.layers.parts import Layer
from builder.spec.model import Compression, Config, Healthcheck
from builder.tree.entries import NewFile
from tests.layers.builds import EPOCH, Blobs, build, contents_of
from tests.makers.trees import fragment

AMD64 = Platform(os="linux", architecture="amd64")
ARM64 = Platform(os="linux", architecture="arm64", variant="v8")
FULL = Config(
    entrypoint=("/usr/bin/app",),
    cmd=("--serve", "<&>"),
    env=(("LANG", "C.UTF-8"),),
    workdir="/app",
    user="app",
    ports=("8080/tcp", "53/udp"),
    volumes=("/var/lib/app",),
    labels=(("b", "ü"), ("a", "1")),
    healthcheck=Healthcheck(test=("CMD", "true"), interval=10**9, retries=3),
    stop_signal="SIGINT",
)


def layer(text: str, *packages: str) -> Layer:
    digest = Digest.of(text.encode())
    return Layer(
        digest=digest,
        size=len(text),
        diff_id=Digest.of(digest.encode()),
        tar_size=1024,
        media_type="application/vnd.oci.image.layer.v1.tar+zstd",
        chunks=(),
        packages=packages,
    )


PASSWD = "root:x:0:0::/:/bin/sh\napp:x:7:7::/:/bin/sh\n"
LAYERS = (layer("one", "libc6"), layer("two", "curl", "libcurl4"), layer("top"))


def test_a_config_says_all_that_the_spec_says_in_the_order_of_the_field() -> None:
    diff_ids = ",".join(f'"{one.diff_id}"' for one in LAYERS)
    when = "2027-01-15T08:00:00Z"
    assert config_bytes(FULL, ARM64, LAYERS, created=EPOCH).decode() == (
        f'{{"created":"{when}","architecture":"arm64","os":"linux","variant":"v8","config":{{'
        '"User":"app","ExposedPorts":{"53/udp":{},"8080/tcp":{}},'
        f'"Env":["PATH={DEFAULT_PATH}","LANG=C.UTF-8"],'
        '"Entrypoint":["/usr/bin/app"],"Cmd":["--serve","<&>"],'
        '"Healthcheck":{"Test":["CMD","true"],"Interval":1000000000,"Retries":3},'
        '"Volumes":{"/var/lib/app":{}},"WorkingDir":"/app","Labels":{"a":"1","b":"ü"},"StopSignal":"SIGINT"},'
        f'"rootfs":{{"type":"layers","diff_ids":[{diff_ids}]}},"history":['
        f'{{"created":"{when}","created_by":"imgbuild: 1 package","comment":"libc6"}},'
        f'{{"created":"{when}","created_by":"imgbuild: 2 packages","comment":"curl libcurl4"}},'
        f'{{"created":"{when}","created_by":"imgbuild: files of the image"}}]}}'
    )


def test_a_path_of_the_specs_own_stays_alone() -> None:
    config = json.loads(config_bytes(Config(env=(("PATH", "/x"),)), AMD64, (), created=0))
    assert config["config"] == {"Env": ["PATH=/x"]}


def test_a_port_without_a_protocol_is_tcp() -> None:
    config = json.loads(config_bytes(Config(ports=("80",)), AMD64, (), created=0))
    assert config["config"]["ExposedPorts"] == {"80/tcp": {}}


def test_a_config_over_a_base_has_the_bases_values_where_it_has_none() -> None:
    own = Config(
        entrypoint=("/own",), env=(("A", "2"), ("LANG", "de")), labels=(("c", "3"),), user="own"
    )
    merged = inherit(FULL, own)
    assert (merged.entrypoint, merged.cmd, merged.user) == (("/own",), (), "own")
    assert merged.env == (("A", "2"), ("LANG", "de"))
    assert merged.labels == (("a", "1"), ("b", "ü"), ("c", "3"))
    assert (merged.workdir, merged.healthcheck) == (FULL.workdir, FULL.healthcheck)
    assert inherit(FULL, Config(cmd=("x",))).entrypoint == FULL.entrypoint
    assert inherit(Config(), FULL).labels == tuple(sorted(FULL.labels))


def test_annotations_are_what_is_known_under_the_specs_own() -> None:
    facts = Facts(created=0, title="app", revision="abc", base_digest=Digest.of(b""), base_name="b:1")
    assert dict(
        image_annotations(facts, (("x.y", "z"), ("org.opencontainers.image.title", "Mine")))
    ) == {
        "org.opencontainers.image.base.digest": Digest.of(b""),
        "org.opencontainers.image.base.name": "b:1",
        "org.opencontainers.image.created": "1970-01-01T00:00:00Z",
        "org.opencontainers.image.revision": "abc",
        "org.opencontainers.image.title": "Mine",
        "x.y": "z",
    }


def test_an_image_for_one_architecture_is_its_manifest() -> None:
    one = platform_image(FULL, AMD64, LAYERS, created=EPOCH, annotations=(("a", "b"),))
    image = assemble_image("app", [one])
    assert image.index is None
    assert image.digest == Digest.of(one.manifest)
    first = LAYERS[0]
    text = one.manifest.decode()
    assert text.startswith(
        '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":'
        f'"application/vnd.oci.image.config.v1+json","digest":"{Digest.of(one.config)}","size":{len(one.config)}}},'
        f'"layers":[{{"mediaType":"{first.media_type}","digest":"{first.digest}","size":3}},'
    )
    assert text.endswith('],"annotations":{"a":"b"}}')


def test_an_image_for_several_is_an_index_and_each_blob_comes_once_before_what_names_it() -> None:
    parts = [platform_image(FULL, platform, LAYERS, created=EPOCH) for platform in (AMD64, ARM64)]
    image = assemble_image("app", parts, annotations=(("a", "b"),))
    assert image.index is not None
    index = json.loads(image.index)
    assert [m["platform"] for m in index["manifests"]] == [
        {"architecture": "amd64", "os": "linux"},
        {"architecture": "arm64", "os": "linux", "variant": "v8"},
    ]
    assert index["annotations"] == {"a": "b"}
    digests = [blob.descriptor.digest for blob in image.blobs()]
    assert len(digests) == len(set(digests)) == 3 + 2 + 2 + 1
    seen: set[str] = set()
    for blob in image.blobs():
        if isinstance(blob.content, bytes):
            assert Digest.of(blob.content) == blob.descriptor.digest
            document = json.loads(blob.content)
            named = [*document.get("layers", []), *document.get("manifests", [])]
            assert {part["digest"] for part in named} <= seen
        seen.add(blob.descriptor.digest)
    assert digests[-1] == image.digest


# ---- schemas and real tools ------------------------------------------------------------------------


def schemas() -> Mapping[str, Any]:
    """Return the OCI image-spec's JSON schemas: of $IMGBUILD_OCI_SCHEMAS, or beside the project."""
    beside = Path(__file__).parents[2].parent / "shared/schemas/oci"
    folder = os.environ.get("IMGBUILD_OCI_SCHEMAS", "") or str(beside)
    if not Path(folder).is_dir():
        pytest.skip(f"SKIPPED ORACLE: no folder {folder} with the OCI image-spec's JSON schemas")
    return {path.name: json.loads(path.read_text()) for path in Path(folder).glob("*.json")}


def check(document: bytes, schema: str) -> None:
    from jsonschema import Draft4Validator
    from referencing import Registry
    from referencing.jsonschema import DRAFT4

    known = schemas()
    pairs = [(name, DRAFT4.create_resource(text)) for name, text in known.items()]
    named = [(text["id"], DRAFT4.create_resource(text)) for text in known.values() if "id" in text]
    beside = [(f"https://opencontainers.org/schema/{name}", resource) for name, resource in pairs]
    deep = [(f"https://opencontainers.org/schema/image/{name}", resource) for name, resource in pairs]
    registry: Registry[Any] = Registry().with_resources([*pairs, *beside, *deep, *named])
    Draft4Validator(known[schema], registry=registry).validate(json.loads(document))


@pytest.mark.oracle
def test_documents_answer_the_schemas_of_the_image_spec() -> None:
    parts = [
        platform_image(FULL, p, LAYERS, created=EPOCH, annotations=(("a", "b"),)) for p in (AMD64, ARM64)
    ]
    image = assemble_image("app", parts, annotations=(("a", "b"),))
    for part in parts:
        check(part.config, "config-schema.json")
        check(part.manifest, "image-manifest-schema.json")
    assert image.index
    check(image.index, "image-index-schema.json")


def need(tool: str) -> str:
    path = shutil.which(tool)
    if path is None:
        pytest.skip(f"SKIPPED ORACLE: {tool} is missing (Debian package {tool})")
    return path


def write_layout(
    folder: Path, compression: Compression, platforms: tuple[Platform, ...]
) -> Image[Layer]:
    """Write a real image as an OCI layout, as a destination would."""
    store = Blobs(compression)
    contents = contents_of("a", "b", PASSWD)
    packages = [
        fragment("libc6", {"usr/lib/c": "file 0755 a", "usr/lib/d": "hard usr/lib/c"}),
        fragment("app", {"usr/bin/app": "file 4755 b", "tmp": "dir 1777"}),
    ]
    built = build(packages, generated=[NewFile.regular("etc/passwd", PASSWD.encode())])
    layers = [store.write(parts, contents) for parts in built.layers]
    images = [platform_image(FULL, platform, layers, created=EPOCH) for platform in platforms]
    image = assemble_image("app", images)
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    for blob in image.blobs():
        content = blob.content if isinstance(blob.content, bytes) else store.bytes_of(blob.content)
        assert len(content) == blob.descriptor.size
        (blobs / blob.descriptor.digest.hex).write_bytes(content)
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    entry = image.descriptor.fields() | {"annotations": {"org.opencontainers.image.ref.name": "app"}}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    return image


@pytest.mark.oracle
@pytest.mark.parametrize("algorithm", ["zstd", "gzip"])
def test_skopeo_copies_an_image_with_its_digest(algorithm: str, tmp_path: Path) -> None:
    skopeo = need("skopeo")
    source, target = tmp_path / "source", tmp_path / "target"
    image = write_layout(source, Compression(algorithm=algorithm), (AMD64, ARM64))
    command = [skopeo, "copy", "-q", "--all", "--preserve-digests"]
    subprocess.run([*command, f"oci:{source}:app", f"oci:{target}:app"], check=True)
    index = json.loads((target / "index.json").read_text())
    assert index["manifests"][0]["digest"] == image.digest
    words = ["--config", "--override-arch=arm64", "--override-os=linux", f"oci:{target}:app"]
    shown = subprocess.run([skopeo, "inspect", *words], check=True, capture_output=True).stdout
    assert json.loads(shown)["config"]["Entrypoint"] == ["/usr/bin/app"]


@pytest.mark.oracle
def test_umoci_unpacks_an_image_as_its_tree(tmp_path: Path) -> None:
    umoci = need("umoci")
    write_layout(tmp_path / "layout", Compression(algorithm="gzip"), (AMD64,))
    root = tmp_path / "bundle" / "rootfs"
    command = [umoci, "unpack", "--rootless", "--image", f"{tmp_path / 'layout'}:app"]
    subprocess.run([*command, str(tmp_path / "bundle")], check=True, capture_output=True)
    assert (root / "usr/lib/c").samefile(root / "usr/lib/d")
    assert (root / "tmp").stat().st_mode & 0o7777 == 0o1777
    assert (root / "usr/bin/app").stat().st_mode & 0o7777 == 0o4755
    assert (root / "etc/passwd").read_text() == PASSWD
