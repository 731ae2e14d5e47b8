"""What others make of our images: skopeo, umoci, Docker, buildah, GNU tar."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.image.image import Image
from builder.layers.parts import Layer
from builder.publish.destinations import Destination
from builder.publish.publish import publish
from builder.spec.model import Config
from builder.store.store import Store
from tests.makers.images import dump, folder, hard, link, make_image, text
from tests.oracle.dockerd import Daemon, running_daemon

pytestmark = pytest.mark.oracle

PROGRAM = r"""
#include <stdio.h>
#include <sys/stat.h>
int main(void) {
    struct stat s;
    stat("/bin/hello", &s);
    printf("hello %o\n", s.st_mode & 07777);
    return 0;
}
"""


def need(tool: str, package: str) -> None:
    if not shutil.which(tool):
        pytest.skip(f"{tool} is missing: install Debian's {package}")


def run(*arguments: str | Path) -> str:
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(name="program", scope="module")
def make_program(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    need("gcc", "gcc")
    place = tmp_path_factory.mktemp("program")
    (place / "hello.c").write_text(PROGRAM)
    done = subprocess.run(
        ["gcc", "-static", "-Os", "-o", place / "hello", place / "hello.c"],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"gcc cannot link statically: install libc6-dev: {done.stderr.decode()[-200:]}")
    return (place / "hello").read_bytes()


def image_of(
    store: Store, program: bytes, algorithm: str = "zstd", architectures: tuple[str, ...] = ("amd64",)
) -> Image[Layer]:
    return make_image(
        store,
        [
            folder("etc"), folder("usr"), folder("usr/bin"), folder("tmp", 0o1777),
            text("usr/bin/hello", program, 0o4755), hard("usr/bin/hallo", "usr/bin/hello", 0o4755),
            link("bin", "usr/bin"), text("etc/motd", "below"), text(f"etc/{'long' * 40}", "x"),
            text("etc/ünï", "x"),
        ],
        [text("etc/motd", "above", 0o640, 5, 7)],
        reference="example.test/team/hello:1",
        algorithm=algorithm,
        architectures=architectures,
        config=Config(entrypoint=("/bin/hello",)),
    )  # fmt: skip


@pytest.fixture(name="store")
def make_store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache")


@pytest.mark.parametrize("algorithm", ["zstd", "gzip"])
@pytest.mark.parametrize("architectures", [("amd64",), ("amd64", "arm64")])
@pytest.mark.parametrize("kind", ["oci", "oci-archive"])
def test_skopeo_copies_and_keeps_the_digest(
    store: Store, tmp_path: Path, algorithm: str, architectures: tuple[str, ...], kind: str
) -> None:
    need("skopeo", "skopeo")
    image = image_of(store, b"x", algorithm, architectures)
    publish(image, Destination(kind, str(tmp_path / "out")), store)
    reference = f"{tmp_path}/out:example.test/team/hello:1"
    run(
        "skopeo", "copy", "--all", "--preserve-digests", f"{kind}:{reference}", f"oci:{tmp_path}/copy:it"
    )
    index = json.loads((tmp_path / "copy/index.json").read_bytes())
    assert [each["digest"] for each in index["manifests"]] == [image.digest]
    run("skopeo", "copy", "--all", f"{kind}:{tmp_path}/out", f"oci:{tmp_path}/unnamed:it")


def test_umoci_unpacks_what_rootfs_makes(store: Store, tmp_path: Path) -> None:
    need("umoci", "umoci")
    image = image_of(store, b"x", "gzip")
    publish(image, Destination("oci", str(tmp_path / "out")), store)
    publish(image, Destination("rootfs", str(tmp_path / "ours")), store)
    reference = f"{tmp_path}/out:example.test/team/hello:1"
    run("umoci", "unpack", "--image", reference, tmp_path / "theirs")
    assert dump(tmp_path / "theirs/rootfs") == dump(tmp_path / "ours")


def test_gnu_tar_unpacks_what_rootfs_makes(store: Store, tmp_path: Path) -> None:
    need("tar", "tar")
    image = image_of(store, b"x")
    publish(image, Destination("tar", str(tmp_path / "out.tar")), store)
    publish(image, Destination("rootfs", str(tmp_path / "ours")), store)
    (tmp_path / "theirs").mkdir()
    # Folders come before all else, so tar must be told to set their times last.
    run(
        "tar",
        "--delay-directory-restore",
        "-xpf",
        tmp_path / "out.tar",
        "--same-owner",
        "-C",
        tmp_path / "theirs",
    )
    assert dump(tmp_path / "theirs") == dump(tmp_path / "ours")


@pytest.fixture(name="daemon", scope="module")
def make_daemon() -> Iterator[Daemon]:
    with running_daemon() as daemon:
        yield daemon


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["zstd", "gzip"])
def test_docker_loads_and_runs_it(
    daemon: Daemon, store: Store, tmp_path: Path, program: bytes, algorithm: str
) -> None:
    image = image_of(store, program, algorithm)
    publish(image, Destination("docker-archive", str(tmp_path / "out.tar")), store)
    loaded = daemon.docker("load", "-i", tmp_path / "out.tar")
    assert loaded.stdout == "Loaded image: example.test/team/hello:1\n"
    inspected = json.loads(daemon.docker("inspect", "example.test/team/hello:1").stdout)[0]
    assert inspected["Id"] == image.images[0].config_descriptor.digest
    assert inspected["RootFS"]["Layers"] == [layer.diff_id for layer in image.images[0].layers]
    ran = daemon.docker("run", "--rm", "--network=none", "example.test/team/hello:1", check=False)
    if ran.returncode and "cgroup" in ran.stderr:
        pytest.skip(f"dockerd cannot run containers here: {ran.stderr.strip()[-300:]}")
    assert (ran.stdout, ran.stderr) == ("hello 4755\n", "")


@pytest.mark.slow
def test_docker_imports_the_flat_tar(
    daemon: Daemon, store: Store, tmp_path: Path, program: bytes
) -> None:
    publish(image_of(store, program), Destination("tar", str(tmp_path / "out.tar")), store)
    assert daemon.docker("import", tmp_path / "out.tar", "flat:1").stdout.startswith("sha256:")


@pytest.mark.slow
def test_buildah_runs_it(store: Store, tmp_path: Path, program: bytes) -> None:
    need("buildah", "buildah")
    publish(image_of(store, program), Destination("oci-archive", str(tmp_path / "out.tar")), store)
    place = ["--root", f"{tmp_path}/b", "--runroot", f"{tmp_path}/r", "--storage-driver", "vfs"]
    name = run("buildah", *place, "from", f"oci-archive:{tmp_path}/out.tar").strip()
    ran = run("buildah", *place, "run", "--isolation=chroot", name, "--", "/bin/hello")
    assert ran.splitlines()[-1] == "hello 4755"
