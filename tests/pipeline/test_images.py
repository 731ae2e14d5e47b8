"""What the image is, for each part of a spec: bases, architectures, files, config, trimming, outputs."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

from builder.pipeline import warm
from tests.makers.deb import Dir, Link, Reg, make_deb
from tests.simulators.http import WebServer
from tests.simulators.world import World, read_layout, read_platforms, sandbox

# ---- base ----------------------------------------------------------------------------------------


def test_two_images_on_one_base_share_its_layers_byte_for_byte(world: World) -> None:
    world.spec("packages: [libc]\nconfig: {env: {LANG: C}, user: '7'}\n", "base.yaml")
    world.spec("base: base.yaml\npackages: [hello]\nconfig: {cmd: [hello]}\n", "a.yaml")
    world.spec("base: ./base.yaml\npackages: [tool]\nimage: registry.example.com/x/b:1.2\n", "b.yaml")
    digests = [world.run(f"{name}.yaml").digest for name in ("a", "b", "base")]
    first, second, base = (world.image(f"{name}.oci") for name in ("a", "b", "base"))
    count = len(base.layers)
    assert first.layers[:count] == second.layers[:count] == base.layers
    assert len(set(first.layer_digests[count:]) & set(second.layer_digests[count:])) == 0
    assert "libc" not in world.versions("a")
    assert world.versions("a") == {"hello": "1.0", "data": "5"}
    assert "usr/lib/libc.so.6" in first.files()
    assert first.config["config"]["Env"][-1] == "LANG=C"
    assert (first.config["config"]["User"], first.config["config"]["Cmd"]) == ("7", ["hello"])
    note = second.manifest["annotations"]
    assert note["org.opencontainers.image.base.name"] == "base"
    assert note["org.opencontainers.image.base.digest"] == base.digest == digests[2]
    assert note["org.opencontainers.image.version"] == "1.2"
    assert note["org.opencontainers.image.title"] == "b"


def test_a_changed_base_makes_the_lock_above_stale(world: World) -> None:
    world.spec("packages: [libc]\n", "base.yaml")
    world.spec("base: base.yaml\npackages: [hello]\n")
    assert world.run("app.yaml").status == 0
    world.spec("packages: [libc, tool]\n", "base.yaml")
    assert world.run("--locked", "app.yaml").status == 5
    assert world.run("lock", "base.yaml").status == 0
    assert world.run("--locked", "app.yaml").stderr == (
        "error: app.lock.json: the lock is stale: the base's lock has changed since it was made\n\n"
        'hint: "imgbuild lock" makes it anew; then commit it\n'
    )
    assert world.run("app.yaml").status == 0
    assert "usr/bin/tool" in world.image().files()


def test_update_leaves_the_base_alone_even_when_its_packages_are_no_longer_listed(world: World) -> None:
    world.spec("packages: [libc]\n", "base.yaml")
    world.spec("base: base.yaml\npackages: [data]\n")
    assert world.run("app.yaml").status == 0
    base = (world.folder / "base.lock.json").read_bytes()
    world.main.packages = [(c, f) for c, f in world.main.packages if f["Package"] != "libc"]
    world.add(
        make_deb("libc", "2.37", "amd64"), make_deb("data", "6", "all", fields={"Depends": "libc"})
    )
    world.publish(later=60)
    result = world.run("update", "app.yaml")
    assert result.stdout.startswith("data  5 → 6\n"), result.stderr
    assert (world.folder / "base.lock.json").read_bytes() == base
    assert world.versions() == {"data": "6"}


@pytest.mark.parametrize(
    ("text", "status", "words"),
    [
        (
            "base: base.yaml\npackages: ['libc>=9']",
            4,
            'app.yaml:3:12: "libc>=9" cannot be met: the base image holds libc 2.36-9',
        ),
        (
            "base: base.yaml\npackages: [foe]",
            4,
            (
                'app.yaml:3:12: no set of packages answers "foe"\n'
                '  because you ask for "foe" (app.yaml:3:12)\n'
                "  and the base image holds libc 2.36-9\n"
                "  and foe 1 conflicts with libc\n\n"
                'hint: change or remove "foe" (app.yaml:3:12)'
            ),
        ),
        (
            "base: base.yaml\npackages: [clash]",
            9,
            (
                "package libc 2.36-9 (amd64) and package clash 1 (amd64) both have "
                "/usr/lib/libc.so.6, with different contents, and neither replaces the other\n\n"
                "hint: leave one of the two out of the spec"
            ),
        ),
        (
            "base: no.yaml\npackages: [foe]",
            3,
            (
                'app.yaml:2:7: there is no spec "no.yaml"\n\n'
                "hint: base: is a path relative to the spec that names it"
            ),
        ),
        ("base: app.yaml\npackages: [foe]", 3, "app.yaml:2:7: an image cannot be its own base"),
        (
            "base: base.yaml\narchitectures: [amd64, arm64]",
            3,
            (
                'app.yaml:2:7: the base has no architecture "arm64"\n\n'
                "hint: add it to architectures: of base.yaml"
            ),
        ),
    ],
)
def test_what_does_not_go_with_a_base_is_told(world: World, text: str, status: int, words: str) -> None:
    world.add(
        make_deb("foe", "1", "amd64", fields={"Conflicts": "libc"}),
        make_deb("clash", "1", "amd64", [Reg(0o644, "./usr/lib/libc.so.6", "mine")]),
    )
    for archive in (world.main, world.updates, world.security):
        archive.architectures = ("amd64", "arm64")
    world.publish()
    world.spec("packages: [libc]\n", "base.yaml")
    world.spec(text)
    assert world.run("-q", "app.yaml") == (status, b"", f"error: {words}\n")
    assert "app.oci" not in world.remains()


def test_another_distribution_below_is_refused(world: World) -> None:
    world.spec("packages: [libc]\n", "base.yaml")
    world.write("app.yaml", "distro: debian/trixie\nbase: base.yaml\n")
    assert world.run("app.yaml") == (
        3,
        b"",
        (
            'error: app.yaml:1:9: the base is made from "debian/bookworm", this image from '
            '"debian/trixie"\n\nhint: packages of two distributions do not fit together\n'
        ),
    )


# ---- architectures -------------------------------------------------------------------------------


def test_one_machine_builds_several_architectures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with WebServer() as server:
        world = World(tmp_path, server, architectures=("amd64", "arm64"))
        sandbox(world, monkeypatch)
        for name in world.main.architectures:
            world.add(make_deb("hello", "1.0", name, [Reg(0o755, "./usr/bin/hello", f"ELF {name}")]))
        world.add(make_deb("micro", "1", "amd64", [Reg(0o644, "./usr/lib/micro", "code")]))
        world.publish()
        world.spec(
            "architectures: [amd64, arm64]\npackages: [hello, {name: micro, architectures: [amd64]}]\n"
        )
        whole = world.run("--json", "app.yaml")
        assert json.loads(whole.stdout)["platforms"] == ["linux/amd64", "linux/arm64/v8"]
        images = read_platforms(world.folder / "app.oci")
        for name, image in images.items():
            assert image.text("usr/bin/hello") == f"ELF {name}"
            assert image.config["architecture"] == name
        assert "usr/lib/micro" in images["amd64"].files()
        assert world.versions(architecture="arm64") == {"hello": "1.0"}
        refused = world.run("app.yaml", "-o", "tar:app.tar")
        assert (refused.status, refused.stderr) == (
            2,
            (
                "error: tar:app.tar: tar holds one architecture, the image has amd64, arm64\n\n"
                "hint: add --arch amd64 or --arch arm64\n"
            ),
        )
        assert world.run("app.yaml", "--arch", "arm64", "-o", "oci:arm.oci").status == 0
        assert world.image("arm.oci").digest == images["arm64"].digest
        assert world.run("app.yaml", "--arch", "s390x").stderr == (
            'error: --arch: the spec has no architecture "s390x"\n\nhint: it has amd64, arm64\n'
        )


# ---- config, accounts, files ---------------------------------------------------------------------

WHOLE = """\
image: registry.example.com/team/app:2.0
packages: [tool]
accounts:
  users: [{name: app, uid: 10001, home: /home/app, shell: /bin/sh}]
  groups: [{name: data, gid: 20001, members: [app]}]
files:
  - {path: /app, source: ./app, owner: app}
  - {path: /etc/motd, text: "hi\\n", mode: 0600, group: data}
  - {path: /usr/bin/t, link: tool}
  - {path: /var/lib/app, directory: true, owner: app, mode: 0700}
  - {path: /usr/bin/tool, mode: 04755}
config:
  entrypoint: [/usr/bin/tool]
  cmd: --verbose now
  env: {LANG: C.UTF-8}
  workdir: /app
  user: app:data
  ports: [8080, 53/udp]
  volumes: [/var/lib/app]
  labels: {com.example.team: web}
  stop-signal: SIGINT
  healthcheck: {test: [tool, ok], interval: 30s, timeout: 500ms, retries: 3}
annotations: {org.opencontainers.image.vendor: Example}
"""


@pytest.fixture(name="whole")
def make_whole(world: World) -> World:
    """A world whose app.yaml uses every kind of entry, built."""
    world.write("app/main.py", "print()\n").chmod(0o755)
    world.write("app/lib/data.txt", "data")
    (world.folder / "app/lib/current").symlink_to("data.txt")
    world.spec(WHOLE)
    result = world.run("app.yaml")
    assert result.status == 0, result.stderr
    assert result.stdout.startswith("registry.example.com/team/app:2.0@sha256:")
    return world


def test_the_config_says_what_the_spec_says(whole: World) -> None:
    image = whole.image()
    assert image.config["config"] == {
        "Entrypoint": ["/usr/bin/tool"],
        "Cmd": ["--verbose", "now"],
        "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"],
        "WorkingDir": "/app",
        "User": "app:data",
        "ExposedPorts": {"8080/tcp": {}, "53/udp": {}},
        "Volumes": {"/var/lib/app": {}},
        "Labels": {"com.example.team": "web"},
        "StopSignal": "SIGINT",
        "Healthcheck": {
            "Test": ["CMD", "tool", "ok"],
            "Interval": 30_000_000_000,
            "Timeout": 500_000_000,
            "Retries": 3,
        },
    }
    assert image.config["rootfs"]["type"] == "layers"
    assert len(image.config["rootfs"]["diff_ids"]) == len(image.layers)
    assert image.manifest["annotations"]["org.opencontainers.image.vendor"] == "Example"


def test_files_and_accounts_are_as_the_spec_says(whole: World) -> None:
    files = whole.image().files()
    shown = {
        path: (h.mode, h.uid, h.gid, h.linkname or files[path].content.decode())
        for path in (
            "app", "app/main.py", "app/lib/data.txt", "app/lib/current", "etc/motd", "usr/bin/t",
            "var/lib/app", "usr/bin/tool", "home/app",
        )
        for h in [files[path].header]
    }  # fmt: skip
    assert shown == {
        "app": (0o755, 10001, 10001, ""),
        "app/main.py": (0o755, 10001, 10001, "print()\n"),
        "app/lib/data.txt": (0o644, 10001, 10001, "data"),
        "app/lib/current": (0o777, 10001, 10001, "data.txt"),
        "etc/motd": (0o600, 0, 20001, "hi\n"),
        "usr/bin/t": (0o777, 0, 0, "tool"),
        "var/lib/app": (0o700, 10001, 10001, ""),
        "usr/bin/tool": (0o4755, 0, 0, "ELF tool"),
        "home/app": (0o755, 10001, 10001, ""),
    }
    passwd = files["etc/passwd"].content.decode()
    assert "app:x:10001:10001::/home/app:/bin/sh\n" in passwd
    group = files["etc/group"].content.decode()
    assert "data:x:20001:app\n" in group
    assert "app:x:10001:\n" in group


def test_a_changed_local_file_is_built_and_an_unchanged_one_is_not(
    whole: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = whole.image().digest
    # What changed in the last two seconds is not trusted to stat.
    monkeypatch.setattr(warm, "now_ns", lambda: time.time_ns() + 3_000_000_000)
    assert whole.run("app.yaml").digest == digest
    quiet = whole.run("app.yaml")
    assert (quiet.digest, quiet.stderr) == (digest, "")
    os.utime(whole.folder / "app/main.py")
    assert whole.run("app.yaml").digest == digest
    (whole.folder / "app/lib/data.txt").write_text("atad")
    assert whole.run("app.yaml").digest != digest
    assert whole.image().text("app/lib/data.txt") == "atad"
    (whole.folder / "app/lib/data.txt").write_text("data")
    assert whole.run("app.yaml").digest == digest
    (whole.folder / "app/new").write_text("")
    assert whole.run("app.yaml").digest != digest
    (whole.folder / "app/new").unlink()
    (whole.folder / "app/main.py").chmod(0o644)
    assert whole.run("app.yaml").digest != digest


@pytest.mark.parametrize(
    ("entry", "status", "words"),
    [
        (
            "{path: /x, source: ./gone}",
            3,
            (
                'app.yaml:3:9: source "./gone" is not there\n\n'
                "hint: paths of sources are relative to the spec's folder"
            ),
        ),
        (
            "{path: /usr/bin/no, mode: 0755}",
            3,
            (
                'app.yaml:3:9: "/usr/bin/no" is not in the image, so its permissions cannot be changed\n'
                "\nhint: give it text, source, link or directory to make it, or the package that "
                "brings it"
            ),
        ),
        (
            "{path: /usr/bin/tool/x, text: b}",
            9,
            (
                "package tool 3.1 (amd64) has a file or link at /usr/bin/tool, and the spec a folder\n\n"
                "hint: choose another path in the spec"
            ),
        ),
    ],
)
def test_files_that_cannot_be_are_told(world: World, entry: str, status: int, words: str) -> None:
    world.spec(f"packages: [tool]\nfiles: [{entry}]\n")
    assert world.run("-q", "app.yaml") == (status, b"", f"error: {words}\n")
    assert world.remains() == ["app.lock.json", "app.yaml"]


# ---- trimming, scripts ---------------------------------------------------------------------------


def check_md5sums(world: World, package: str) -> list[str]:
    """Return the paths that PACKAGE's md5sums name; each is there with that content."""
    files = world.image().files()
    lines = files[f"var/lib/dpkg/status.d/{package}.md5sums"].content.decode().splitlines()
    for line in lines:
        digest, _, path = line.partition("  ")
        assert hashlib.md5(files[path].content, usedforsecurity=False).hexdigest() == digest
    return [line.partition("  ")[2] for line in lines]


def test_a_user_that_is_not_in_the_image_is_refused(world: World) -> None:
    world.spec("packages: [libc]\nconfig: {user: 'ap:staf'}\n")
    told = world.run("app.yaml")
    assert told.status == 3
    assert told.stderr.endswith(
        'error: app.yaml:3:16: user "ap" is no user of the image\n\n'
        "hint: add it under accounts.users; there are root, nobody\n"
    )
    world.spec("packages: [libc]\nconfig: {user: 'nobody:staf'}\n")
    told = world.run("app.yaml")
    assert told.stderr.endswith(
        'error: app.yaml:3:16: group "staf" is no group of the image\n\n'
        "hint: add it under accounts.groups; there are root, shadow, nogroup\n"
    )
    world.spec("packages: [libc]\nconfig: {user: '4711:nogroup'}\n")
    assert world.run("app.yaml").status == 0


def test_trimming_and_excluding_leave_truthful_md5sums(world: World) -> None:
    world.spec("packages: [hello]\n")
    assert world.run("app.yaml").status == 0
    assert check_md5sums(world, "hello") == ["usr/bin/hello", "usr/share/doc/hello/copyright"]
    world.spec("packages: [hello]\nexclude: [/usr/bin/hello, '/usr/share/da*']\n")
    assert world.run("app.yaml").status == 0
    assert check_md5sums(world, "hello") == ["usr/share/doc/hello/copyright"]
    assert "usr/share/data" not in world.image().files()
    world.spec("packages: [hello]\ntrim: none\n")
    assert world.run("app.yaml").status == 0
    assert len(check_md5sums(world, "hello")) == 4
    assert "usr/share/man/man1/hello.1" in world.image().files()


BASE_FILES = make_deb(
    "base-files",
    "12.4",
    "amd64",
    [
        Dir(0o755, "./var/run/"),
        Dir(0o755, "./var/lock/"),
        Dir(0o755, "./run/"),
        Reg(0o644, "./usr/share/base-files/profile", "PATH=\n"),
        Reg(0o644, "./usr/lib/os-release", "ID=debian\n"),
        Link(0o777, "./etc/os-release", "../usr/lib/os-release"),
    ],
)


@pytest.fixture(name="based")
def make_based(world: World) -> World:
    """A world with a base-files that ships var/run as a folder, and a daemon that puts things in it."""
    world.add(
        BASE_FILES,
        make_deb(
            "daemon",
            "1",
            "amd64",
            [
                Dir(0o2775, "./var/run/daemon/", gid=8),
                Reg(0o644, "./var/run/daemon/ready", "yes"),
                Dir(0o1777, "./var/lock/daemon/"),
            ],
        ),
    )
    world.publish()
    return world


def test_folders_that_scripts_make_links_settle(based: World) -> None:
    based.spec(
        "packages: [base-files, daemon]\nfiles: [{path: /var/run/app/pid, text: '1'}, "
        "{path: /var/run/daemon/ready, mode: 0600}]\n"
    )
    result = based.run("app.yaml")
    assert result.status == 0, result.stderr
    files = based.image().files()
    assert files["var/run"].header.linkname == "/run"
    assert files["var/lock"].header.linkname == "/run/lock"
    assert files["run/daemon"].header.mode == 0o2775
    assert files["run/daemon"].header.gid == 8
    assert files["run/daemon/ready"].header.mode == 0o600
    assert files["run/daemon/ready"].content == b"yes"
    assert files["run/app/pid"].content == b"1"
    assert files["run/lock/daemon"].header.mode == 0o1777
    assert not any(path.startswith(("var/run/", "var/lock/")) for path in files)
    assert files["etc/profile"].content == b"PATH=\n"
    assert files["etc/os-release"].header.linkname == "../usr/lib/os-release"
    digest = based.image().digest
    assert based.run("app.yaml", "--cache", "fresh", "-o", "oci:again").digest == digest


def test_that_settles_over_a_base_too(based: World) -> None:
    based.spec("packages: [base-files]\n", "base.yaml")
    based.spec("base: base.yaml\npackages: [daemon]\n")
    result = based.run("app.yaml")
    assert result.status == 0, result.stderr
    files = based.image().files()
    assert files["run/daemon/ready"].content == b"yes"
    assert not any(path.startswith(("var/run/", "var/lock/")) for path in files)


def test_without_scripts_packages_are_left_as_they_are(based: World) -> None:
    based.spec("packages: [base-files, daemon]\nscripts: off\n")
    assert based.run("app.yaml").status == 0
    files = based.image().files()
    assert files["var/run"].header.isdir()
    assert files["var/run/daemon/ready"].content == b"yes"
    assert {"etc/passwd", "etc/profile"}.isdisjoint(files)


# ---- origin --------------------------------------------------------------------------------------


def test_source_and_revision_come_from_git(world: World) -> None:
    def git(*words: str) -> str:
        who = ["-c", "user.name=A", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]
        done = subprocess.run(
            ["git", *who, *words], cwd=world.folder, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    world.spec("packages: [tool]\n")
    before = world.run("app.yaml").digest
    git("init", "-q", "-b", "main")
    git("remote", "add", "origin", "https://user:secret@git.example.com:8443/team/app.git")
    git("add", "app.yaml")
    git("commit", "-q", "-m", "one")
    assert world.run("app.yaml").digest != before  # though spec and lock are the same
    note = world.image().manifest["annotations"]
    assert note["org.opencontainers.image.source"] == "https://git.example.com:8443/team/app"
    assert note["org.opencontainers.image.revision"] == git("rev-parse", "HEAD")


# ---- destinations --------------------------------------------------------------------------------

KINDS = ("oci:a.oci", "oci-archive:b.tar", "docker-archive:c.tar", "rootfs:d", "tar:e.tar")


def test_every_kind_at_once(world: World) -> None:
    world.spec("packages: [hello]\n")
    words = [word for kind in KINDS for word in ("-o", kind)]
    result = world.run("--json", "app.yaml", *words)
    assert result.status == 0, result.stderr
    assert json.loads(result.stdout)["outputs"] == list(KINDS)
    digest = json.loads(result.stdout)["digest"]
    assert world.remains() == [
        "a.oci", "app.lock.json", "app.yaml", "b.tar", "c.tar", "d", "e.tar",
    ]  # fmt: skip
    assert read_layout(world.folder / "a.oci").digest == digest
    with tarfile.open(world.folder / "b.tar") as tar:
        tar.extractall(world.root / "b", filter="data")
    assert read_layout(world.root / "b").digest == digest
    with tarfile.open(world.folder / "c.tar") as tar:
        member = tar.extractfile("manifest.json")
        assert member is not None
        [entry] = json.loads(member.read())
    assert entry["RepoTags"] == ["docker.io/library/app:latest"]
    assert (world.folder / "d/usr/bin/hello").read_text() == "ELF hello"
    assert os.readlink(world.folder / "d/usr/bin/hi") == "hello"
    with tarfile.open(world.folder / "e.tar") as tar:
        assert "usr/lib/libc.so.6" in tar.getnames()


@pytest.mark.parametrize("kind", ["tar", "oci-archive", "docker-archive"])
def test_an_archive_to_stdout_is_all_that_goes_there(world: World, kind: str) -> None:
    world.spec("packages: [hello]\n")
    result = world.run("app.yaml", "-o", f"{kind}:-")
    assert result.status == 0
    assert world.run("app.yaml", "-o", f"{kind}:file.tar").status == 0
    assert result.data == (world.folder / "file.tar").read_bytes()
    with tarfile.open(fileobj=io.BytesIO(result.data)) as tar:
        assert len(tar.getnames()) > 3


def test_the_default_output_is_named_for_the_image(world: World) -> None:
    world.spec("image: registry.example.com/team/web:1\npackages: [tool]\n")
    assert world.run("app.yaml").status == 0
    assert world.remains() == ["app.lock.json", "app.yaml", "web.oci"]


@pytest.mark.parametrize("damage", ["removed", "blob size", "blob gone", "index"])
def test_a_damaged_output_is_written_anew(world: World, damage: str) -> None:
    world.spec("packages: [tool]\n")
    digest = world.run("app.yaml").digest
    layout = world.folder / "app.oci"
    image = world.image()
    blob = layout / "blobs/sha256" / image.layer_digests[0].removeprefix("sha256:")
    if damage == "removed":
        layout.rename(world.root / "away")
    elif damage == "blob size":
        blob.chmod(0o644)
        blob.write_bytes(image.layers[0] + b"x")
    elif damage == "blob gone":
        blob.unlink()
    else:
        (layout / "index.json").write_text("{}")
    result = world.run("app.yaml")
    if damage == "index":
        assert (result.status, result.data) == (11, b"")
        return
    assert result.digest == digest
    assert world.image() == image


def test_a_place_that_is_something_else_is_left_alone(world: World) -> None:
    world.spec("packages: [tool]\n")
    world.write("mine/precious", "x")
    for kind in ("oci", "rootfs", "tar"):
        result = world.run("-q", "app.yaml", "-o", f"{kind}:mine")
        assert (result.status, result.data) == (11, b""), result.stderr
    assert (world.folder / "mine/precious").read_text() == "x"
    assert world.remains() == ["app.lock.json", "app.yaml", "mine"]
