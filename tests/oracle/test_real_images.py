"""Real Debian images in the hands of skopeo, umoci, buildah and Docker, and for another processor."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.oracle.dockerd import Daemon, running_daemon
from tests.oracle.program import imgbuild, need, need_mirror, need_root, run

pytestmark = [pytest.mark.oracle, pytest.mark.live, pytest.mark.slow]

HELLO = "import ssl, sqlite3, zlib, zoneinfo; print('hello', zoneinfo.ZoneInfo('Europe/Oslo').key)"
SPEC = """\
image: example.test/team/{name}:1
distro: debian/{suite}
packages: [python3, ca-certificates, tzdata]
accounts: {{users: [{{name: app, uid: 10001}}]}}
files: [{{path: /app/hello.py, source: hello.py, owner: app}}]
config: {{entrypoint: [/usr/bin/python3], cmd: [/app/hello.py], user: app, env: {{LANG: C.UTF-8}}}}
compression: {compression}
layers: {{max: 5}} # the vfs driver copies the whole tree for each
"""
PROGRAM = f"{HELLO}\nimport os, sys; print(os.getuid(), sys.version_info.major, os.environ['LANG'])\n"
SAID = "hello Europe/Oslo\n10001 3 C.UTF-8\n"


class Made(NamedTuple):
    """A built image: its folder, which holds all destinations, its reference and digest."""

    folder: Path
    name: str
    digest: str


@pytest.fixture(
    name="made", scope="module", params=["bookworm-zstd", "bookworm-gzip", "trixie-zstd", "trixie-gzip"]
)
def make_image(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, shared_cache: Path
) -> Made:
    need_root()
    need_mirror()
    suite, compression = request.param.split("-")
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "spec.yaml").write_text(
        SPEC.format(name=request.param, suite=suite, compression=compression)
    )
    (folder / "hello.py").write_text(PROGRAM)
    places = ("oci:layout", "oci-archive:archive.tar", "docker-archive:docker.tar", "rootfs:root")
    options = [word for place in places for word in ("-o", place)]
    printed = imgbuild("spec.yaml", "-q", *options, cwd=folder, cache=shared_cache).strip()
    name, _, digest = printed.partition("@")
    return Made(folder, name, digest)


def tree(root: Path) -> dict[str, tuple[object, ...]]:
    """Every path below ROOT with all that a file system says of it, but folders' times.

    Of a file with hard links the path of the first.
    """
    found: dict[str, tuple[object, ...]] = {}
    firsts: dict[int, str] = {}
    for path in sorted(root.rglob("*")):
        name, stat = str(path.relative_to(root)), path.lstat()
        attributes = tuple(
            (key, os.getxattr(path, key, follow_symlinks=False))
            for key in sorted(os.listxattr(path, follow_symlinks=False))
        )
        said = (stat.st_mode, stat.st_uid, stat.st_gid, attributes)
        if path.is_symlink():
            found[name] = (*said, str(path.readlink()), int(stat.st_mtime))
        elif path.is_dir():
            found[name] = said
        else:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            found[name] = (*said, digest, int(stat.st_mtime), firsts.setdefault(stat.st_ino, name))
    return found


def test_skopeo_sees_the_digest_that_is_printed(made: Made) -> None:
    need("skopeo", "skopeo")
    for source in (f"oci:{made.folder}/layout", f"oci-archive:{made.folder}/archive.tar"):
        raw = run("skopeo", "inspect", "--raw", f"{source}:{made.name}")
        assert "sha256:" + hashlib.sha256(raw.encode()).hexdigest() == made.digest


def test_skopeo_copies_every_byte(made: Made, tmp_path: Path) -> None:
    need("skopeo", "skopeo")
    source = f"oci:{made.folder}/layout:{made.name}"
    run("skopeo", "copy", "--preserve-digests", source, f"oci:{tmp_path}/copy:{made.name}")
    run("skopeo", "copy", "--preserve-digests", source, f"dir:{tmp_path}/dir")
    ours = {path.name: path.read_bytes() for path in (made.folder / "layout/blobs/sha256").iterdir()}
    theirs = {path.name: path.read_bytes() for path in (tmp_path / "copy/blobs/sha256").iterdir()}
    assert ours == theirs
    manifest = (tmp_path / "dir/manifest.json").read_bytes()
    assert "sha256:" + hashlib.sha256(manifest).hexdigest() == made.digest


@pytest.mark.parametrize("made", ["bookworm-gzip", "trixie-gzip"], indirect=True)  # it reads no zstd
def test_umoci_unpacks_our_tree(made: Made, tmp_path: Path) -> None:
    need("umoci", "umoci")
    run("umoci", "unpack", "--image", f"{made.folder}/layout:{made.name}", tmp_path / "bundle")
    theirs = tree(tmp_path / "bundle/rootfs")
    assert len(theirs) > 1000
    assert theirs == tree(made.folder / "root")


@pytest.mark.parametrize("made", ["bookworm-gzip", "trixie-zstd"], indirect=True)
def test_buildah_runs_python(made: Made, tmp_path: Path) -> None:
    need("buildah", "buildah")
    place = ["--root", f"{tmp_path}/b", "--runroot", f"{tmp_path}/r", "--storage-driver", "vfs"]
    name = run("buildah", *place, "from", f"oci:{made.folder}/layout:{made.name}").strip()
    ran = run(
        "buildah", *place, "run", "--isolation=chroot", name, "--", "/usr/bin/python3", "/app/hello.py"
    )
    assert ran == SAID
    run("buildah", *place, "rm", "--all")


@pytest.fixture(name="daemon", scope="module")
def make_daemon() -> Iterator[Daemon]:
    with running_daemon() as daemon:
        yield daemon


@pytest.mark.parametrize("made", ["bookworm-zstd", "trixie-gzip"], indirect=True)
def test_docker_loads_and_runs_python(daemon: Daemon, made: Made) -> None:
    loaded = daemon.docker("load", "-i", made.folder / "docker.tar")
    assert loaded.stdout == f"Loaded image: {made.name}\n"
    ran = daemon.docker("run", "--rm", "--network=none", made.name, check=False)
    if ran.returncode and "cgroup" in ran.stderr:
        pytest.skip(f"dockerd cannot run containers here: {ran.stderr.strip()[-300:]}")
    assert (ran.stdout, ran.stderr) == (SAID, "")
    daemon.docker("rmi", made.name)


@pytest.mark.parametrize("made", ["bookworm-gzip", "trixie-gzip"], indirect=True)
def test_python_finds_certificates(made: Made) -> None:
    """What packages' scripts would have made: the bundle of certificates that OpenSSL looks for."""
    program = "import ssl; print(len(ssl.create_default_context().get_ca_certs()) > 100)"
    assert run("chroot", made.folder / "root", "/usr/bin/python3", "-c", program) == "True\n"


# ---- another processor ---------------------------------------------------------------------------


class Both(NamedTuple):
    """An image for two architectures, and each as a folder."""

    folder: Path
    manifests: dict[str, dict[str, object]]


# e_machine of the ELF header, elf.h's EM_X86_64 and EM_AARCH64.
MACHINES = {"amd64": 62, "arm64": 183}


@pytest.fixture(name="both", scope="module")
def make_both(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Both:
    need_mirror()
    folder = tmp_path_factory.mktemp("both")
    (folder / "spec.yaml").write_text(
        "distro: debian/trixie\narchitectures: [amd64, arm64]\npackages: [python3, tzdata]\n"
    )
    printed = imgbuild("spec.yaml", "-q", "-o", "oci:layout", cwd=folder, cache=shared_cache).strip()
    for name in MACHINES:
        imgbuild(
            "spec.yaml", "-q", "--arch", name, "-o", f"rootfs:{name}", cwd=folder, cache=shared_cache
        )

    def blob(digest: str) -> dict[str, object]:
        path = folder / "layout/blobs" / digest.replace(":", "/")
        content: dict[str, object] = json.loads(path.read_bytes())
        return content

    index = blob(printed.partition("@")[2])
    listed = index["manifests"]
    assert isinstance(listed, list)
    manifests = {each["platform"]["architecture"]: blob(each["digest"]) for each in listed}
    assert [each["platform"] for each in listed] == [
        {"architecture": "amd64", "os": "linux"},
        {"architecture": "arm64", "os": "linux", "variant": "v8"},
    ]
    for name, manifest in manifests.items():
        config = manifest["config"]
        assert isinstance(config, dict)
        assert blob(config["digest"])["architecture"] == name
    return Both(folder, manifests)


@pytest.mark.parametrize("name", MACHINES)
def test_every_program_is_for_its_processor(both: Both, name: str) -> None:
    found: Counter[int] = Counter()
    for path in sorted((both.folder / name).rglob("*")):
        if path.is_symlink() or not path.is_file():
            continue
        with path.open("rb") as stream:
            header = stream.read(20)
        if header.startswith(b"\x7fELF"):
            found[int.from_bytes(header[18:20], "little")] += 1
    assert list(found) == [MACHINES[name]]
    assert found[MACHINES[name]] > 50


def test_layers_differ_but_for_what_is_for_all(both: Both) -> None:
    amd64, arm64 = (
        {layer["digest"] for layer in manifest["layers"]}  # type: ignore[attr-defined]
        for manifest in both.manifests.values()
    )
    assert len(amd64 - arm64) >= len(amd64) // 2
    assert amd64 != arm64


def test_skopeo_takes_either(both: Both, tmp_path: Path) -> None:
    need("skopeo", "skopeo")
    for name in MACHINES:
        source = f"oci:{both.folder}/layout"
        told = json.loads(run("skopeo", f"--override-arch={name}", "inspect", source))
        assert told["Architecture"] == name
    run(
        "skopeo",
        "copy",
        "--all",
        "--preserve-digests",
        f"oci:{both.folder}/layout",
        f"dir:{tmp_path}/dir",
    )


def test_buildah_takes_the_other_without_emulation(both: Both, tmp_path: Path) -> None:
    need("buildah", "buildah")
    need_root()
    place = ["--root", f"{tmp_path}/b", "--runroot", f"{tmp_path}/r", "--storage-driver", "vfs"]
    name = run("buildah", *place, "from", "--arch=arm64", f"oci:{both.folder}/layout").strip()
    mounted = Path(run("buildah", *place, "mount", name).strip())
    assert (mounted / "usr/lib/aarch64-linux-gnu/libc.so.6").is_file()
    run("buildah", *place, "rm", "--all")
