"""What a good spec becomes: every key of DESIGN §4, defaults, positions, and laws of both."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.digests import canonical_json
from builder.errors import SpecError
from builder.spec import inputs, load_spec
from builder.spec.model import (
    Compression,
    Config,
    Distro,
    FileEntry,
    Group,
    Healthcheck,
    ImageSpec,
    PackageRequest,
    Repository,
    User,
)
from builder.spec.nodes import kind_of

FULL = """\
image: registry.example.com:5000/team/app:1.0
distro: {name: debian, suite: trixie, components: [main, non-free-firmware], snapshot: 2025-05-20,
  mirror: http://mirror.example.com/debian/}
repositories:
  - {name: internal, url: "https://p.example.com/d", suite: ./, keys: [keys/internal.asc]}
  - {name: open, url: "https://o.example.com", suite: stable, components: [main], trust: unsigned}
architectures: [amd64, arm64]
base: ../base/spec.yaml
packages: [python3, "nginx>=1.22", {name: intel-microcode, architectures: [amd64]}]
recommends: yes
block: [systemd]
exclude: ["/usr/share/doc/**"]
trim: none
scripts: off
accounts:
  users:
    - {name: app, uid: 10001, gid: 7, groups: [audio], home: /home/app, shell: /bin/sh, gecos: App}
  groups:
    - {name: web, gid: 20001, members: [app]}
files:
  - {path: /app, source: ./app, owner: app, group: 10001, mode: 0755}
  - {path: /etc/motd, text: "hi"}
  - {path: /usr/bin/sh, link: dash}
  - {path: /var/lib/app/, directory: true, mode: "01777"}
  - {path: /usr/bin/ping, mode: 0o4755}
config:
  entrypoint: [/usr/bin/python3, -m, http.server, 8000]
  cmd: --bind 'a b'
  env: {PATH: /usr/bin, A: 1}
  workdir: /app
  user: 10001
  ports: [8000, 53/udp]
  volumes: [/data]
  labels: {com.example.b: x, com.example.a: y}
  stop-signal: SIGTERM
  healthcheck: {test: curl -f x, interval: 1m30s, timeout: 1.5s, start-period: 500ms, retries: 3}
annotations: {org.example.x: "1"}
layers: {max: 30}
compression: zstd:19
"""


def _load(text: str, file: str = "web.yaml") -> ImageSpec:
    return load_spec(text, file).spec


def test_every_key_of_the_design_becomes_its_value() -> None:
    assert _load(FULL) == ImageSpec(
        image="registry.example.com:5000/team/app:1.0",
        distro=Distro(
            name="debian",
            suite="trixie",
            components=("main", "non-free-firmware"),
            snapshot="20250520T000000Z",
            mirror=("http://mirror.example.com/debian",),
        ),
        repositories=(
            Repository(
                name="internal", url="https://p.example.com/d", suite="./", keys=("keys/internal.asc",)
            ),
            Repository(
                name="open",
                url="https://o.example.com",
                suite="stable",
                components=("main",),
                is_unsigned=True,
            ),
        ),
        architectures=("amd64", "arm64"),
        base="../base/spec.yaml",
        packages=(
            PackageRequest(text="python3"),
            PackageRequest(text="nginx>=1.22"),
            PackageRequest(text="intel-microcode", architectures=("amd64",)),
        ),
        recommends=True,
        block=("systemd",),
        exclude=("/usr/share/doc/**",),
        trim="none",
        scripts="off",
        users=(
            User(  # noqa: S604 - the login shell of an account
                name="app",
                uid=10001,
                gid=7,
                groups=("audio",),
                home="/home/app",
                shell="/bin/sh",
                gecos="App",
            ),
        ),
        groups=(Group(name="web", gid=20001, members=("app",)),),
        files=(
            FileEntry(path="/app", source="./app", owner="app", group="10001", mode=0o755),
            FileEntry(path="/etc/motd", text="hi"),
            FileEntry(path="/usr/bin/sh", link="dash"),
            FileEntry(path="/var/lib/app", is_directory=True, mode=0o1777),
            FileEntry(path="/usr/bin/ping", mode=0o4755),
        ),
        config=Config(
            entrypoint=("/usr/bin/python3", "-m", "http.server", "8000"),
            cmd=("--bind", "a b"),
            env=(("A", "1"), ("PATH", "/usr/bin")),
            workdir="/app",
            user="10001",
            ports=("8000/tcp", "53/udp"),
            volumes=("/data",),
            labels=(("com.example.a", "y"), ("com.example.b", "x")),
            healthcheck=Healthcheck(
                test=("CMD", "curl", "-f", "x"),
                interval=90 * 10**9,
                timeout=1_500_000_000,
                start_period=500_000_000,
                retries=3,
            ),
            stop_signal="SIGTERM",
        ),
        annotations=(("org.example.x", "1"),),
        max_layers=30,
        compression=Compression(algorithm="zstd", level=19),
    )


def test_one_line_is_a_spec_and_the_rest_has_defaults() -> None:
    assert _load("distro: debian", "images/web.prod.yaml") == ImageSpec(
        image="web.prod", distro=Distro(name="debian")
    )


@pytest.mark.parametrize(
    ("line", "attribute", "expected"),
    [
        ("distro: debian/trixie", "distro", Distro(name="debian", suite="trixie")),
        ("distro: {name: fedora, suite: 42}", "distro", Distro(name="fedora", suite="42")),
        (
            "distro: {name: debian, snapshot: 20250520T101112Z}",
            "distro",
            Distro(name="debian", snapshot="20250520T101112Z"),
        ),
        (
            "distro: {name: debian, snapshot: 20240229, mirror: [http://a.test, http://b.test/x]}",
            "distro",
            Distro(
                name="debian", snapshot="20240229T000000Z", mirror=("http://a.test", "http://b.test/x")
            ),
        ),
        ("recommends: on", "recommends", True),
        ("recommends: no", "recommends", False),
        ("compression: gzip", "compression", Compression(algorithm="gzip")),
        ("compression: gzip:9", "compression", Compression(algorithm="gzip", level=9)),
        ("image: localhost/a__b/c-d:x_Y.1", "image", "localhost/a__b/c-d:x_Y.1"),
        ('image: "[::1]:5000/app"', "image", "[::1]:5000/app"),
        ("exclude: [/**/*.pyc, '/opt/x?/[ab]*']", "exclude", ("/**/*.pyc", "/opt/x?/[ab]*")),
        ("config: {stop-signal: 9}", "config", Config(stop_signal="9")),
        ("config: {stop-signal: SIGRTMIN+3}", "config", Config(stop_signal="SIGRTMIN+3")),
        ("config: {user: 'app:web'}", "config", Config(user="app:web")),
        (
            "config: {cmd: \"sh -c 'echo $HOME'\"}",
            "config",
            Config(cmd=("sh", "-c", "echo $HOME")),
        ),
        (
            "config: {healthcheck: {test: [CMD-SHELL, 'a || b']}}",
            "config",
            Config(healthcheck=Healthcheck(test=("CMD-SHELL", "a || b"))),
        ),
        (
            "config: {healthcheck: {test: [NONE]}}",
            "config",
            Config(healthcheck=Healthcheck(test=("NONE",))),
        ),
        ("files: [{path: /, source: root}]", "files", (FileEntry(path="/", source="root"),)),
        ("files: [{path: /e, text: ''}]", "files", (FileEntry(path="/e", text=""),)),
        ("files: [{path: /e, text: !!str 5}]", "files", (FileEntry(path="/e", text="5"),)),
        ("accounts: {users: [{name: root, uid: 0}]}", "users", (User(name="root", uid=0),)),
        (
            "accounts: {users: [{name: a, uid: 5}], groups: [{name: a, gid: 5}]}",
            "groups",
            (Group(name="a", gid=5),),
        ),
    ],
)
def test_spellings_of_values(line: str, attribute: str, expected: object) -> None:
    distro = "" if line.startswith("distro") else "distro: debian\n"
    assert getattr(_load(f"{distro}{line}\n"), attribute) == expected


def test_aliases_share_values() -> None:
    text = "distro: debian\nconfig: {env: &e {A: x}, labels: *e}\n"
    assert _load(text).config == Config(env=(("A", "x"),), labels=(("A", "x"),))


def test_positions_are_known_for_every_value_and_parents_stand_in_for_defaults() -> None:
    document = load_spec(FULL, "web.yaml")
    assert str(document.position("config.healthcheck.interval")) == "web.yaml:36:44"
    assert str(document.position("packages[2].architectures[0]")) == "web.yaml:9:76"
    assert str(document.position("config.labels.com.example.a")) == "web.yaml:34:45"
    assert str(document.position("files[1].owner")) == "web.yaml:22:5"
    assert str(document.position("nothing.of.it")) == "web.yaml:1:1"


# ---- laws ----------------------------------------------------------------------------------------


def _paths(value: Any, path: str = "") -> list[str]:
    children: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        children = [(f"{path}.{key}" if path else key, item) for key, item in value.items()]
    elif isinstance(value, list):
        children = [(f"{path}[{index}]", item) for index, item in enumerate(value)]
    return [path, *(found for place, item in children for found in _paths(item, place))]


def _block(value: Any, indentation: int = 0) -> list[str]:
    """Return VALUE in YAML's block style, scalars as JSON (a subset of YAML)."""
    lines: list[str] = []
    pad = " " * indentation
    items: list[tuple[str, Any]] = (
        [(f"{key}:", item) for key, item in value.items()]
        if isinstance(value, dict)
        else [("-", item) for item in value]
    )
    for head, item in items:
        if isinstance(item, dict | list) and item:
            lines += [pad + head, *_block(item, indentation + 2)]
        else:
            lines.append(f"{pad}{head} {json.dumps(item)}")
    return lines


_DOCUMENT: dict[str, Any] = {
    "distro": {"name": "debian", "suite": "trixie"},
    "packages": ["a", {"name": "b", "architectures": ["amd64"]}],
    "accounts": {"users": [{"name": "app", "uid": 10}], "groups": []},
    "files": [{"path": "/a", "text": "x"}, {"path": "/b", "link": "a"}],
    "config": {"cmd": ["x", "y"], "env": {"A": "1"}, "user": "app"},
}


@pytest.mark.parametrize(
    ("line", "sign"),
    [
        ("a; b", ";"),
        ("a &", "&"),
        ("a >x", ">"),
        ("a|b", "|"),
        ('echo "$A"', "$"),
        ("echo `date`", "`"),
        ("a >>x", ">>"),
    ],
)
def test_a_command_line_that_needs_a_shell_is_refused(line: str, sign: str) -> None:
    with pytest.raises(SpecError) as caught:
        _load(f"distro: debian\nconfig:\n  cmd: {json.dumps(line)}\n")
    assert caught.value.message == f'config.cmd: "{sign}" means something to a shell only'


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("nginx -g 'daemon off;'", ("nginx", "-g", "daemon off;")),
        ("x \"a;b|c>d\" '$HOME' \\$x", ("x", "a;b|c>d", "$HOME", "$x")),
    ],
)
def test_quotes_keep_signs_from_a_shell_that_is_not_there(line: str, words: tuple[str, ...]) -> None:
    assert _load(f"distro: debian\nconfig:\n  cmd: {json.dumps(line)}\n").config.cmd == words


@settings(max_examples=30)
@given(st.data())
def test_comments_and_blank_lines_move_positions_and_nothing_else(data: st.DataObject) -> None:
    lines = _block(_DOCUMENT)
    plain = load_spec("\n".join(lines), "x.yaml")
    counts = data.draw(st.lists(st.integers(0, 3), min_size=len(lines), max_size=len(lines)))
    shifted: list[str] = []
    moved_to: dict[int, int] = {}
    for number, (line, count) in enumerate(zip(lines, counts, strict=True), start=1):
        shifted += [
            data.draw(st.sampled_from(["", "   ", "# packages: [x]", "      # é"])) for _ in range(count)
        ]
        shifted.append(line + data.draw(st.sampled_from(["", "  # why"])))
        moved_to[number] = len(shifted)
    moved = load_spec("\n".join(shifted), "x.yaml")
    assert moved.spec == plain.spec
    assert moved.positions.keys() == plain.positions.keys() == set(_paths(_DOCUMENT))
    for path, position in plain.positions.items():
        assert (moved.positions[path].line, moved.positions[path].column) == (
            moved_to[position.line],
            position.column,
        )


def _outcome(text: str | bytes) -> str:
    try:
        return repr(load_spec(text, "web.yaml").spec)
    except SpecError as error:
        return error.render()


@given(st.text())
def test_no_text_gives_anything_but_a_spec_or_its_faults(text: str) -> None:
    assert _outcome(text).startswith(("ImageSpec(", "error: web.yaml"))


@given(st.binary())
def test_no_bytes_give_anything_but_a_spec_or_its_faults(content: bytes) -> None:
    assert _outcome(content).startswith(("ImageSpec(", "error: web.yaml"))


@given(st.from_regex(r"[-+0-9._:eExobnNaAfFlLiIsStTrRuUyY~]{0,8}", fullmatch=True))
def test_plain_scalars_are_taken_for_what_pyyaml_takes_them_for(text: str) -> None:
    yaml = pytest.importorskip("yaml")
    tag = yaml.SafeLoader("").resolve(yaml.ScalarNode, text, (True, False)).rsplit(":", 1)[1]
    expected = {"str": "text", "int": "integer", "bool": "boolean", "null": "nothing", "float": "number"}
    if tag in expected and tag != "str":
        assert (kind_of(text) == "text") is False, tag
        if tag in ("bool", "null"):
            assert kind_of(text) == expected[tag]


@pytest.mark.parametrize(
    "text", ["nginx", "a.b", "1.2.3", "1.22-3", "2025-05-20", "-m", "--x", ".x", "0.d"]
)
def test_ordinary_words_need_no_quotes(text: str) -> None:
    assert kind_of(text) == "text"


def test_inputs_are_canonical_json_of_the_values_not_of_the_text() -> None:
    one = inputs(_load("distro: debian/trixie\npackages: [a]\ncompression: zstd\n"))
    other = inputs(_load("# x\npackages:\n  - 'a'\ndistro: {suite: trixie, name: debian}\n"))
    assert canonical_json(one) == canonical_json(other)
    changed = inputs(_load("distro: debian/trixie\npackages: [b]\n"))
    assert canonical_json(one) != canonical_json(changed)


def test_importing_the_rooms_imports_neither_yaml_nor_the_grammar() -> None:
    code = "import sys, builder.spec, builder.lock; print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.split()
    assert "builder.lock.file" in modules
    assert {"yaml", "builder.spec.grammar", "networkx", "difflib", "shlex"}.isdisjoint(modules)
