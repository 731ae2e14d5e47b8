"""A distribution on loopback, the folder of a project, and the program run against both.

    world = World(tmp_path, server)                     # the fixture `world`
    world.main.add(make_deb("hello", "1.0", "amd64"))
    world.publish()
    world.write("app.yaml", "distro: debian/bookworm\npackages: [hello]\n")
    result = world.run("app.yaml")                      # in this process, fast
    assert result.status == 0
    process = world.start("app.yaml")                   # a process of its own, to be killed

The archive is Debian's in all but its packages and its keys: bookworm and bookworm-updates below
``/debian``, bookworm-security below ``/debian-security``, found through IMGBUILD_MIRROR_DEBIAN. The
distribution's data is a copy of the shipped files in which every key is the simulated one.
"""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from builder.repository import distros
from tests.makers.deb import Link, Reg, make_deb
from tests.simulators.archive import Archive, certificate, fingerprint
from tests.simulators.http import WebServer

KEY = "archive"
_ROOT = Path(__file__).resolve().parents[2]

# Waits are for people's networks; here all is on loopback.
TIMEOUT = 1.0
_LAUNCH = """\
import pathlib, sys
from builder.fetch.fetcher import Fetcher
from builder.repository import distros
place = pathlib.Path(sys.argv.pop(1))
distros._folder = lambda: place
timeout = float(sys.argv.pop(1))
Fetcher.__init__.__kwdefaults__["timeout"] = timeout
from builder.cli.main import main
sys.exit(main())
"""


class Result(NamedTuple):
    """What a run ended with; ``data`` are the bytes of stdout."""

    status: int
    data: bytes
    stderr: str

    @property
    def stdout(self) -> str:
        """Stdout as text."""
        return self.data.decode()

    @property
    def digest(self) -> str:
        """The digest that a successful build has printed."""
        assert self.status == 0, self.stderr
        return self.stdout.strip().rpartition("@")[2]


class World:
    """Archive, server, project folder and cache of one test."""

    def __init__(
        self, root: Path, server: WebServer, *, architectures: Sequence[str] = ("amd64",)
    ) -> None:
        self.root = root
        self.server = server
        self.folder = root / "project"
        self.cache = root / "cache"
        self.distros = distros_folder(root / "distros")
        self.main = Archive(suite="bookworm", architectures=architectures)
        self.updates = Archive(suite="bookworm-updates", architectures=architectures)
        self.security = Archive(suite="bookworm-security", architectures=architectures)
        self.folder.mkdir(parents=True)

    # ---- the archive ---------------------------------------------------------------------------

    @property
    def archives(self) -> tuple[tuple[str, Archive], ...]:
        """Each suite with the folder of its archive root."""
        return (
            ("debian/", self.main),
            ("debian/", self.updates),
            ("debian-security/", self.security),
        )

    @property
    def mirror(self) -> str:
        """The archive root."""
        return f"{self.server.url}/debian"

    def publish(self, *, later: int = 0) -> None:
        """Publish all suites, LATER seconds after the last time."""
        files: dict[str, bytes] = {}
        for folder, archive in self.archives:
            archive.date += later
            archive.publish()
            files |= {folder + path: content for path, content in archive.files.items()}
        self.server.files.clear()
        self.server.files.update(files)

    def add(self, *packages: bytes) -> None:
        """Add .debs to the main suite."""
        for package in packages:
            self.main.add(package)

    # ---- the project ---------------------------------------------------------------------------

    def write(self, name: str, text: str) -> Path:
        """Write TEXT to the file NAME of the project."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def spec(self, text: str = "", name: str = "app.yaml") -> Path:
        """Write a spec of bookworm with TEXT as its rest."""
        return self.write(name, f"distro: debian/bookworm\n{text}")

    def lock(self, name: str = "app") -> dict[str, Any]:
        """Return the lock of the spec called NAME."""
        found: dict[str, Any] = json.loads((self.folder / f"{name}.lock.json").read_bytes())
        return found

    def versions(self, name: str = "app", architecture: str = "amd64") -> dict[str, str]:
        """Return the versions of all packages in the lock of the spec called NAME."""
        return {
            package["name"]: package["version"]
            for each in self.lock(name)["architectures"]
            if each["architecture"] == architecture
            for package in each["packages"]
        }

    def remains(self) -> list[str]:
        """Return the paths of the project's files and folders, not of what lies below an image's."""
        return sorted(path.name for path in self.folder.iterdir())

    # ---- the program ---------------------------------------------------------------------------

    @property
    def environment(self) -> dict[str, str]:
        """The variables of a process of the program."""
        kept = {
            name: os.environ[name]
            for name in ("PATH", "VIRTUAL_ENV", "SYSTEMROOT")
            if name in os.environ
        }
        return kept | {
            "HOME": str(self.root),
            "LC_ALL": "C.UTF-8",
            "PYTHONPATH": str(_ROOT),
            "IMGBUILD_CACHE": str(self.cache),
            "IMGBUILD_MIRROR_DEBIAN": self.mirror,
        }

    def run(self, *arguments: str) -> Result:
        """Run the program in this process, whose folder and variables the fixture has set."""
        from builder.cli.main import main

        data = io.BytesIO()
        out = io.TextIOWrapper(data, encoding="utf-8", write_through=True)
        errors = io.StringIO()
        threads = set(threading.enumerate())
        with redirect_stdout(out), redirect_stderr(errors):
            status = main(arguments)
        out.flush()
        left = [t for t in threading.enumerate() if t not in threads and not t.daemon]
        assert not left, f"threads are left: {left}"
        assert "Traceback" not in errors.getvalue()
        return Result(status, data.getvalue(), errors.getvalue())

    def command(self, *arguments: str, timeout: float = TIMEOUT) -> list[str]:
        """Return the command line of a process of the program."""
        return [sys.executable, "-c", _LAUNCH, str(self.distros), str(timeout), *arguments]

    def start(
        self, *arguments: str, timeout: float = TIMEOUT, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start the program in a process of its own."""
        return subprocess.Popen(
            self.command(*arguments, timeout=timeout),
            cwd=self.folder,
            env=self.environment | dict(environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def execute(
        self, *arguments: str, timeout: float = TIMEOUT, environment: Mapping[str, str] | None = None
    ) -> Result:
        """Run the program in a process of its own, for a minute at most."""
        with self.start(*arguments, timeout=timeout, environment=environment) as process:
            try:
                data, errors = process.communicate(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        assert b"Traceback" not in errors, errors.decode()
        return Result(process.returncode, data, errors.decode())

    # ---- images --------------------------------------------------------------------------------

    def image(self, name: str = "app.oci") -> Image:
        """Return the one image of the layout NAME."""
        return read_layout(self.folder / name)


class Image(NamedTuple):
    """What a layout holds: manifest, config and layers of an image of one platform."""

    digest: str
    manifest: dict[str, Any]
    config: dict[str, Any]
    layers: tuple[bytes, ...]

    @property
    def layer_digests(self) -> tuple[str, ...]:
        """The digests of the layers, bottom first."""
        return tuple(layer["digest"] for layer in self.manifest["layers"])

    def files(self) -> dict[str, Any]:
        """Return path → tar member of the flattened image, its content in ``content``."""
        import tarfile

        found: dict[str, Any] = {}
        for layer in self.layers:
            with tarfile.open(fileobj=io.BytesIO(_plain(layer))) as tar:
                for member in tar:
                    file = tar.extractfile(member) if member.isreg() else None
                    found[member.name.rstrip("/")] = Member(
                        member, file.read() if file is not None else b""
                    )
        return found

    def text(self, path: str) -> str:
        """Return the content of the file at PATH."""
        content: bytes = self.files()[path].content
        return content.decode()


class Member(NamedTuple):
    """A tar member and its content."""

    header: Any
    content: bytes


def read_layout(folder: Path) -> Image:
    """Return the only image of the OCI layout at FOLDER; every digest is checked."""
    index = json.loads((folder / "index.json").read_bytes())
    [descriptor] = index["manifests"]
    manifest = json.loads(blob(folder, descriptor["digest"]))
    return image_of(folder, descriptor["digest"], manifest)


def read_platforms(folder: Path) -> dict[str, Image]:
    """Return architecture → image of the layout at FOLDER, which holds an index."""
    index = json.loads((folder / "index.json").read_bytes())
    [descriptor] = index["manifests"]
    inner = json.loads(blob(folder, descriptor["digest"]))
    return {
        each["platform"]["architecture"]: image_of(
            folder, each["digest"], json.loads(blob(folder, each["digest"]))
        )
        for each in inner["manifests"]
    }


def image_of(folder: Path, digest: str, manifest: dict[str, Any]) -> Image:
    """Return the image of MANIFEST."""
    config = json.loads(blob(folder, manifest["config"]["digest"]))
    layers = tuple(blob(folder, layer["digest"]) for layer in manifest["layers"])
    return Image(digest, manifest, config, layers)


def blob(folder: Path, digest: str) -> bytes:
    """Return a blob of the layout at FOLDER, checked."""
    import hashlib

    content = (folder / "blobs/sha256" / digest.removeprefix("sha256:")).read_bytes()
    assert hashlib.sha256(content).hexdigest() == digest.removeprefix("sha256:")
    return content


def _plain(layer: bytes) -> bytes:
    import gzip

    import zstandard

    if layer[:2] == b"\x1f\x8b":
        return gzip.decompress(layer)
    reader = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(layer), read_across_frames=True)
    return reader.read()


def distros_folder(place: Path) -> Path:
    """Copy the shipped distributions to PLACE, each signed by the simulated key; return PLACE."""
    shipped = distros._folder()
    (place / "keys").mkdir(parents=True)
    for file in shipped.glob("*.yaml"):
        text = re.sub(r"\b[0-9A-F]{40}\b", fingerprint(KEY), file.read_text(encoding="utf-8"))
        (place / file.name).write_text(text, encoding="utf-8")
    for file in (shipped / "keys").iterdir():
        (place / "keys" / file.name).write_bytes(certificate(KEY))
    return place


def populate(world: World) -> None:
    """Give WORLD a few packages to build from, and publish them.

    hello needs libc and data, recommends extras; tool stands alone; shell and mawk provide awk and sh.
    """
    world.add(
        make_deb(
            "hello",
            "1.0",
            "amd64",
            [
                Reg(0o755, "./usr/bin/hello", "ELF hello"),
                Link(0o777, "./usr/bin/hi", "hello"),
                Reg(0o644, "./usr/share/doc/hello/copyright", "free"),
                Reg(0o644, "./usr/share/doc/hello/README", "read me"),
                Reg(0o644, "./usr/share/man/man1/hello.1", "manual"),
            ],
            fields={"Depends": "libc (>= 2), data", "Recommends": "extras"},
        ),
        make_deb("libc", "2.36-9", "amd64", [Reg(0o644, "./lib/libc.so.6", "ELF " + "c" * 5000)]),
        make_deb("data", "5", "all", [Reg(0o644, "./usr/share/data/words", "words " * 900)]),
        make_deb("extras", "1", "all", [Reg(0o644, "./usr/share/extras", "more")]),
        make_deb("tool", "3.1", "amd64", [Reg(0o755, "./usr/bin/tool", "ELF tool")]),
    )
    world.publish()


@pytest.fixture(name="empty_world")
def make_empty_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A world without packages, this process put into it."""
    with WebServer() as server:
        world = World(tmp_path, server)
        sandbox(world, monkeypatch)
        yield world
    distros.load.cache_clear()


@pytest.fixture(name="world")
def make_world(empty_world: World) -> World:
    """A world with a few packages, this process put into it."""
    populate(empty_world)
    return empty_world


def sandbox(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put this process into WORLD: folder, variables, keys of the distributions, short waits."""
    from builder.fetch.fetcher import Fetcher

    for name in [name for name in os.environ if name.startswith(("IMGBUILD_", "XDG_"))]:
        monkeypatch.delenv(name)
    for name in ("SOURCE_DATE_EPOCH", "NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in world.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(world.folder)
    monkeypatch.setattr(distros, "_folder", lambda: world.distros)
    defaults = Fetcher.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "timeout", TIMEOUT)
    monkeypatch.setitem(defaults, "sleep", lambda seconds: None)
    distros.load.cache_clear()
