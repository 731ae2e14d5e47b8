"""The mirror rule, with hosts made in folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.errors import UsageError
from builder.repository import apt, distros, mirrors
from builder.repository.mirrors import MirrorList
from builder.spec.model import Distro, Repository

DEBIAN = distros.load("debian")
UBUNTU = distros.load("ubuntu")
DEFAULT = {
    "main": ("http://cloudfront.debian.net/debian",),
    "security": ("http://cloudfront.debian.net/debian-security",),
}


def host(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def find(
    root: Path,
    *,
    distro: distros.DistroData = DEBIAN,
    mirror: tuple[str, ...] = (),
    snapshot: str = "",
    options: tuple[str, ...] = (),
    environment: dict[str, str] | None = None,
) -> dict[str, MirrorList]:
    wanted = Distro(name=distro.name, mirror=mirror, snapshot=snapshot)
    found = mirrors.find(distro, wanted, options=options, environment=environment or {}, root=root)
    return {location: entry for (_, location), entry in found.items()}


def urls(root: Path, distro: distros.DistroData = DEBIAN) -> dict[str, tuple[str, ...]]:
    return {location: entry.urls for location, entry in find(root, distro=distro).items()}


def test_an_empty_host_gets_the_official_mirrors(tmp_path: Path) -> None:
    assert urls(tmp_path) == DEFAULT
    assert not any(entry.accepts_expired for entry in find(tmp_path).values())


DEB822 = """\
# the usual
Types: deb deb-src
URIs: http://mirror.example.com/debian/ https://second.example.com/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example.com/debian-security
Suites: bookworm-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""


DISABLED = DEB822.replace("Types: deb deb-src", "Types: deb\nEnabled: no")
NODE = "Types: deb\nURIs: https://n.test/node\nSuites: nodistro\nComponents: main\n"


def test_the_hosts_apt_gives_its_mirrors_whichever_suite_it_runs(tmp_path: Path) -> None:
    host(tmp_path, {"etc/apt/sources.list.d/debian.sources": DEB822})
    assert urls(tmp_path) == {
        "main": ("http://mirror.example.com/debian", "https://second.example.com/debian"),
        "security": ("http://mirror.example.com/debian-security",),
    }
    assert urls(tmp_path, UBUNTU)["main"] == ("http://archive.ubuntu.com/ubuntu",)


@pytest.mark.parametrize(
    ("name", "text", "main"),
    [
        ("sources.list", "deb http://m.test/debian bookworm main\n", ("http://m.test/debian",)),
        ("sources.list", "deb [arch=amd64 a=b] http://m.test/a/debian sid main # x", ("http://m.test/a/debian",)),
        ("sources.list", "deb-src http://m.test/debian bookworm main\n", None),
        ("sources.list", "# deb http://m.test/debian bookworm main\n", None),
        ("sources.list", "deb cdrom:[Debian]/debian bookworm main\n", None),
        ("sources.list", "deb mirror+file:/etc/apt/debian bookworm main\n", None),
        ("sources.list", "deb file:/srv/debian bookworm main\n", ("file:/srv/debian",)),
        ("sources.list", "deb http://m.test/debian stable main\n", ("http://m.test/debian",)),
        ("sources.list", "deb http://m.test/debian wheezy-pgdg main\n", None),
        ("sources.list.d/docker.list", "deb https://d.test/linux/debian bookworm stable\n", None),
        ("sources.list.d/wine.list", "deb [signed-by=/w.gpg] http://w.test/debian sid main\n", None),
        ("sources.list.d/wine.list", "deb http://w.test/wine-builds/debian bookworm main\n", None),
        ("sources.list.d/own.list", "deb http://m.test/debian bookworm main\n", ("http://m.test/debian",)),
        ("sources.list.d/own.list.disabled", "deb http://m.test/debian bookworm main\n", None),
        ("sources.list.d/debian.sources", DISABLED, None),
        ("sources.list.d/debian.sources", "Types deb\nnonsense\n", None),
        ("sources.list.d/node.sources", NODE, None),
    ],
)  # fmt: skip
def test_what_apt_is_configured_with_is_recognised_or_left_alone(
    tmp_path: Path, name: str, text: str, main: tuple[str, ...] | None
) -> None:
    host(tmp_path, {f"etc/apt/{name}": text})
    assert urls(tmp_path)["main"] == (main or DEFAULT["main"])


def test_ports_and_archive_of_ubuntu_are_told_apart(tmp_path: Path) -> None:
    text = "deb http://m.test/ubuntu noble main\ndeb http://m.test/ubuntu noble-security main universe\n"
    host(tmp_path, {"etc/apt/sources.list": text})
    assert urls(tmp_path, UBUNTU) == {
        "main": ("http://m.test/ubuntu",),
        "security": ("http://m.test/ubuntu",),
        "ports": ("http://ports.ubuntu.com/ubuntu-ports",),
    }


@pytest.mark.parametrize(
    ("conf", "accepts"),
    [
        ('Acquire::Check-Valid-Until "false";', True),
        ("Acquire { Check-Valid-Until no; };", True),
        ('acquire { http { Proxy "x"; }; check-valid-until "0"; };', True),
        ('// Acquire::Check-Valid-Until "false";', False),
        ('# Acquire::Check-Valid-Until "false";', False),
        ('/* Acquire::Check-Valid-Until "false"; */', False),
        ('Acquire::Check-Valid-Until "false";\nAcquire::Check-Valid-Until "true";', False),
        ('Acquire::Check-Valid-Until "false";\n#clear Acquire::Check-Valid-Until;', False),
        ('Acquire::Check-Date "false";', False),
        ('DPkg::Post-Invoke {"echo // } ; {"; }; Acquire::Check-Valid-Until "false";', True),
        ("Acquire { { { ; } \"", False),
    ],
)  # fmt: skip
def test_expired_releases_are_accepted_where_the_hosts_apt_accepts_them(
    tmp_path: Path, conf: str, accepts: bool
) -> None:
    files = {"etc/apt/sources.list.d/debian.sources": DEB822, "etc/apt/apt.conf.d/99x": conf}
    host(tmp_path, files)
    assert find(tmp_path)["main"].accepts_expired is accepts
    given = find(tmp_path, options=("http://other.test/debian",))
    assert given["main"] == MirrorList(urls=("http://other.test/debian",), origin="--mirror")
    assert given["security"].urls == ("http://other.test/debian-security",)


def test_a_source_says_for_itself_whether_it_may_be_expired(tmp_path: Path) -> None:
    line = "deb [check-valid-until={}] http://m.test/debian bookworm main\n"
    host(tmp_path, {"etc/apt/sources.list": line.format("no")})
    assert find(tmp_path)["main"].accepts_expired
    assert not find(tmp_path)["security"].accepts_expired
    host(tmp_path, {"etc/apt/sources.list": line.format("no") + line.format("yes")})
    assert not find(tmp_path)["main"].accepts_expired


def test_the_first_place_that_gives_a_mirror_decides(tmp_path: Path) -> None:
    config = "mirrors: {debian: http://config.test/debian}\n"
    host(tmp_path, {"etc/apt/sources.list.d/debian.sources": DEB822, "c/imgbuild/config.yaml": config})
    home = {"XDG_CONFIG_HOME": "/c"}
    named = home | {"IMGBUILD_MIRROR_DEBIAN": "http://env.test/debian http://env2.test/debian"}
    option, spec = ("http://option.test/debian",), ("http://spec.test/debian",)
    origins = [
        find(tmp_path, mirror=spec, options=option, environment=named)["main"].origin,
        find(tmp_path, options=option, environment=named)["main"].origin,
        find(tmp_path, environment=named)["main"].origin,
        find(tmp_path, environment=home)["main"].origin,
        find(tmp_path)["main"].origin,
    ]
    assert origins == ["spec", "--mirror", "IMGBUILD_MIRROR_DEBIAN", "user config", "host's apt"]
    assert find(tmp_path, environment=named)["main"].urls == (
        "http://env.test/debian",
        "http://env2.test/debian",
    )
    assert find(tmp_path, environment=named)["security"].urls[0] == "http://env.test/debian-security"
    own = named | {"IMGBUILD_MIRROR_DEBIAN_SECURITY": "http://sec.test/x"}
    assert find(tmp_path, environment=own)["security"].urls == ("http://sec.test/x",)


def test_a_dated_archive_is_served_by_the_snapshot_service_or_a_given_mirror(tmp_path: Path) -> None:
    host(tmp_path, {"etc/apt/sources.list.d/debian.sources": DEB822})
    environment = {"IMGBUILD_MIRROR_DEBIAN": "http://env.test/debian"}
    found = find(tmp_path, snapshot="20250520T000000Z", environment=environment)
    assert found["main"].urls == ("https://snapshot.debian.org/archive/debian/20250520T000000Z",)
    assert found["security"].urls == (
        "https://snapshot.debian.org/archive/debian-security/20250520T000000Z",
    )
    given = find(tmp_path, snapshot="20250520T000000Z", mirror=("/srv/debian", "security=/srv/sec"))
    assert (given["main"].urls, given["security"].urls) == (("/srv/debian",), ("/srv/sec",))


def test_a_repository_of_the_spec_is_where_its_url_says(tmp_path: Path) -> None:
    repository = Repository(name="int-1", url="http://repo.test/apt/", suite="./")
    found = mirrors.find(DEBIAN, Distro(name="debian"), (repository,), environment={}, root=tmp_path)
    assert found["int-1", "main"].urls == ("http://repo.test/apt",)


@pytest.mark.parametrize("url", ["mirror", "ftp://x.test/debian", "http:///debian", "security=nowhere"])
def test_what_is_no_mirror_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(UsageError) as caught:
        find(tmp_path, options=(url,))
    assert caught.value.render() == (
        f"error: --mirror: {url.removeprefix('security=')!r} is no mirror\n\n"
        "hint: a mirror is the root of an archive, such as http://mirror.example.com/debian"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mirror: {}", "user config: Object contains unknown field `mirror`"),
        ("mirrors: [a]", "user config: Expected `object`, got `array` - at `$.mirrors`"),
        ("{", "user config is no YAML"),
    ],
)
def test_a_user_config_that_is_not_right_is_told(tmp_path: Path, text: str, message: str) -> None:
    host(tmp_path, {"home/me/.config/imgbuild/config.yaml": text})
    with pytest.raises(UsageError) as caught:
        find(tmp_path, environment={"HOME": "/home/me"})
    assert str(caught.value) == f"/home/me/.config/imgbuild/config.yaml: {message}"


def test_a_time_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        find(tmp_path, snapshot="2025-05-20")
    assert str(caught.value) == 'snapshot "2025-05-20" is no time such as 20250520T000000Z'


def test_apt_conf_is_read_with_its_blocks() -> None:
    text = 'A::B "1"; C { D "2"; E { "x"; "y"; }; F::G 3; };'
    assert list(apt.parse_conf(text)) == [
        ("a::b", "1"), ("c::d", "2"), ("c::e::x", ""), ("c::e::y", ""), ("c::f::g", "3"),
    ]  # fmt: skip


def test_a_named_option_serves_that_repository_alone(tmp_path: Path) -> None:
    internal = Repository(name="internal", url="https://packages.example.com/debian", suite="stable")
    options = ("internal=https://user:secret@inside.example.com/debian", "debian=http://m.test/debian")
    found = mirrors.find(
        DEBIAN, Distro(name="debian"), (internal,), options=options, environment={}, root=tmp_path
    )
    assert found["internal", "main"].urls == ("https://user:secret@inside.example.com/debian",)
    assert found["debian", "main"].urls == ("http://m.test/debian",)
    assert found["debian", "security"].urls == ("http://m.test/debian-security",)


def test_an_option_for_an_unknown_repository_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        find(tmp_path, options=("internel=http://m.test/debian",))
    assert caught.value.render() == (
        'error: --mirror: there is no repository "internel"\n\nhint: it may name debian, main, security'
    )


def test_a_lock_finds_dropped_packages_in_the_dated_archive(tmp_path: Path) -> None:
    found = mirrors.find(DEBIAN, Distro(name="debian"), environment={}, root=tmp_path)
    past = mirrors.with_past(found, DEBIAN, 1_700_000_000)
    assert past["debian", "main"].urls == (
        *DEFAULT["main"],
        "https://snapshot.debian.org/archive/debian/20231115T101320Z",
    )


def test_who_names_a_mirror_means_that_one(tmp_path: Path) -> None:
    options = ("http://m.test/debian",)
    found = mirrors.find(DEBIAN, Distro(name="debian"), options=options, environment={}, root=tmp_path)
    assert mirrors.with_past(found, DEBIAN, 1_700_000_000) == found
