"""How a spec comes to its lock: written once, kept, refused when stale, updated when asked."""

from __future__ import annotations

import json

import pytest

from builder.layers import plan as layers_plan
from tests.makers.deb import Reg, make_deb
from tests.simulators.world import World

STAGES = "checking the archive: bookworm, bookworm-updates, bookworm-security"


@pytest.fixture(name="built")
def make_built(world: World) -> World:
    """A world whose app.yaml has been built; no request has come since."""
    world.spec("packages: [hello]\n")
    assert world.run("app.yaml").status == 0
    world.server.requests.clear()
    return world


def newer(world: World, *, later: int = 60) -> None:
    """Publish a security update of libc, and a hello that needs extras and no data."""
    world.security.add(make_deb("libc", "2.36-10", "amd64", [Reg(0o644, "./lib/libc.so.6", "ELF new")]))
    world.add(make_deb("hello", "1.1", "amd64", fields={"Depends": "libc, extras"}))
    world.publish(later=later)


# ---- build and lock ------------------------------------------------------------------------------


def test_a_build_writes_lock_and_layout_and_prints_the_digest(world: World) -> None:
    world.spec("packages: [hello]\n")
    result = world.run("app.yaml")
    assert result.status == 0
    assert result.stdout == f"app@{world.image().digest}\n"
    assert world.remains() == ["app.lock.json", "app.oci", "app.yaml"]
    assert world.versions() == {"hello": "1.0", "libc": "2.36-9", "data": "5"}
    assert world.image().text("usr/bin/hello") == "ELF hello"
    words = [line.rpartition(" (")[0] for line in result.stderr.splitlines()]
    assert words == [
        STAGES,
        "downloading: 2 files, 0.0 MB",
        "reading package lists: 2 package lists",
        "resolving: 3 packages for amd64",
        "downloading: 3 files, 0.0 MB",
        "unpacking: 3 packages",
        "writing layers: 2 of 2",
        "writing the image: oci:app.oci",
    ]


def test_a_second_build_asks_the_network_for_nothing_and_gives_the_same(built: World) -> None:
    digest = built.image().digest
    assert built.run("app.yaml").digest == digest
    assert built.run("app.yaml", "-o", "oci:other").digest == digest
    assert built.server.paths == []


def test_a_lock_builds_elsewhere_though_the_archive_has_newer_packages(built: World) -> None:
    digest, lock = built.image().digest, (built.folder / "app.lock.json").read_bytes()
    newer(built)
    assert built.run("app.yaml", "--cache", "empty", "--locked").digest == digest
    assert (built.folder / "app.lock.json").read_bytes() == lock
    assert [path for path in built.server.paths if "/dists/" in path] == []


def test_lock_downloads_no_package(world: World) -> None:
    world.spec("packages: [hello]\n")
    result = world.run("lock", "app.yaml")
    assert result.status == 0
    assert result.stdout.startswith("app.lock.json sha256:")
    assert world.remains() == ["app.lock.json", "app.yaml"]
    assert not any(path.endswith(".deb") for path in world.server.paths)


def test_lock_keeps_a_lock_that_answers_and_says_as_json_what_it_holds(built: World) -> None:
    newer(built)
    before = (built.folder / "app.lock.json").read_bytes()
    found = json.loads(built.run("lock", "--json", "app.yaml").stdout)
    assert found.pop("digest").startswith("sha256:")
    assert found == {"lock": "app.lock.json", "packages": {"amd64": 3}}
    assert (built.folder / "app.lock.json").read_bytes() == before


def test_the_lock_names_no_host(built: World) -> None:
    assert b"127.0.0.1" not in (built.folder / "app.lock.json").read_bytes()


def test_a_lock_elsewhere_is_named_by_an_option(world: World) -> None:
    world.spec("packages: [tool]\n")
    assert world.run("app.yaml", "--lock", "locks.json").status == 0
    assert world.remains() == ["app.oci", "app.yaml", "locks.json"]


# ---- stale and missing ---------------------------------------------------------------------------


@pytest.mark.parametrize("words", [("--locked", "app.yaml"), ("lock", "--check", "app.yaml")])
def test_without_a_lock_a_fixed_build_is_refused(world: World, words: tuple[str, ...]) -> None:
    world.spec("packages: [hello]\n")
    assert world.run(*words) == (
        5,
        b"",
        (
            "error: app.lock.json: there is no lock\n\n"
            'hint: "imgbuild lock" makes it anew; then commit it\n'
        ),
    )
    assert world.remains() == ["app.yaml"]
    assert world.server.paths == []


@pytest.mark.parametrize("words", [("--locked", "app.yaml"), ("lock", "--check", "app.yaml")])
def test_a_stale_lock_is_refused_where_it_is_fixed(built: World, words: tuple[str, ...]) -> None:
    before = (built.folder / "app.lock.json").read_bytes()
    built.spec("packages: [hello, tool]\n")
    assert built.run(*words) == (
        5,
        b"",
        (
            "error: app.lock.json: the lock is stale: the spec asks for other packages than when it was "
            'made\n\nhint: "imgbuild lock" makes it anew; then commit it\n'
        ),
    )
    assert (built.folder / "app.lock.json").read_bytes() == before


def test_lock_check_agrees_with_what_answers(built: World) -> None:
    built.spec("packages: [hello]\nconfig: {env: {A: b}}\n")  # packages do not depend on it
    assert built.run("lock", "--check", "app.yaml").status == 0


def test_a_stale_lock_is_made_anew_and_packages_in_the_store_are_not_fetched_again(built: World) -> None:
    built.spec("packages: [hello, tool]\n")
    assert built.run("app.yaml").status == 0
    assert built.server.paths == ["debian/pool/main/t/tool/tool_3.1_amd64.deb"]
    assert built.versions() == {"hello": "1.0", "libc": "2.36-9", "data": "5", "tool": "3.1"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            b"{",
            (
                "app.lock.json: the file ends too early\n\n"
                'hint: delete it and make it again with "imgbuild lock"'
            ),
        ),
        (
            b"<<<<<<< ours\n",
            (
                "app.lock.json:1:1: holds the marks of a merge conflict\n\n"
                'hint: take one side as it stands, then run "imgbuild lock"'
            ),
        ),
    ],
)
def test_a_broken_lock_is_told_and_left_alone(built: World, content: bytes, words: str) -> None:
    (built.folder / "app.lock.json").write_bytes(content)
    for command in ("build", "lock", "update", "tree"):
        assert built.run(command, "app.yaml") == (5, b"", f"error: {words}\n")
        assert (built.folder / "app.lock.json").read_bytes() == content


def test_more_or_fewer_layers_plan_anew_and_choose_nothing_anew(built: World) -> None:
    newer(built)
    before = built.lock()
    built.spec("packages: [hello]\nlayers: {max: 2}\n")
    assert built.run("--locked", "app.yaml") == (
        5,
        b"",
        (
            "error: app.lock.json: the lock's layer plan is for layers.max 20, the spec says 2\n\n"
            'hint: "imgbuild lock" plans anew; then commit it\n'
        ),
    )
    assert built.run("app.yaml").status == 0
    after = built.lock()
    assert built.server.paths == []
    assert (after["max_layers"], after["layers"]) == (2, [["data", "hello", "libc"]])
    assert after["architectures"] == before["architectures"]
    assert len(built.image().layers) == 2
    assert built.run("--locked", "app.yaml").status == 0


# ---- offline -------------------------------------------------------------------------------------


def test_offline_builds_from_the_store_alone(built: World) -> None:
    digest = built.image().digest
    assert built.run("--offline", "app.yaml", "-o", "oci:again").digest == digest
    built.spec("packages: [hello]\nblock: [extras]\n")
    assert built.run("--offline", "app.yaml").digest == digest
    assert built.server.paths == []


def test_offline_says_what_is_missing(world: World) -> None:
    world.spec("packages: [hello]\n")
    hint = "hint: run the same command once without --offline, on this machine or with this cache\n"
    assert world.run("--offline", "app.yaml") == (
        7,
        b"",
        "error: dists/bookworm/InRelease: the cache lacks it, and the network may not be asked\n\n"
        + hint,
    )
    assert world.remains() == ["app.yaml"]
    assert world.run("lock", "app.yaml").status == 0
    result = world.run("--offline", "-q", "app.yaml")
    assert (result.status, result.data) == (7, b"")
    assert result.stderr == (
        "error: pool/main/h/hello/hello_1.0_amd64.deb: the cache lacks it and 2 other files, and the "
        "network may not be asked\n\n" + hint
    )
    assert world.remains() == ["app.lock.json", "app.yaml"]


# ---- update and diff -----------------------------------------------------------------------------

CHANGES = """\
libc    2.36-9 → 2.36-10  security
hello   1.0 → 1.1
data    removed 5
extras  added 1
"""


def test_update_says_what_changes_and_build_takes_it(built: World) -> None:
    newer(built)
    old = built.folder / "old.lock.json"
    old.write_bytes((built.folder / "app.lock.json").read_bytes())
    dry = built.run("update", "-n", "app.yaml")
    assert (built.folder / "app.lock.json").read_bytes() == old.read_bytes()
    result = built.run("update", "app.yaml")
    assert result.stdout == dry.stdout
    assert result.stdout.startswith(CHANGES)
    lines = result.stdout.splitlines()[4:]
    suites = ("bookworm", "bookworm-security", "bookworm-updates")
    assert [line.partition(": ")[0] for line in lines[:3]] == [f"debian {suite}" for suite in suites]
    assert lines[3].startswith("2 changed (1 by security updates), 1 added, 1 removed; packages ")
    assert built.versions() == {"hello": "1.1", "libc": "2.36-10", "extras": "1"}
    assert built.run("diff", "old.lock.json", "app.yaml").stdout == result.stdout
    assert built.run("update", "app.yaml").stdout == "nothing changes\n"
    assert built.run("app.yaml").status == 0
    assert built.image().text("usr/lib/libc.so.6") == "ELF new"


def test_update_as_json_is_the_difference(built: World) -> None:
    newer(built)
    found = json.loads(built.run("update", "--json", "-q", "app.yaml").stdout)
    assert {(change["name"], change["kind"], change["is_security"]) for change in found["packages"]} == {
        ("libc", "upgraded", True),
        ("hello", "upgraded", False),
        ("data", "removed", False),
        ("extras", "added", False),
    }


def test_update_keeps_the_plan_so_that_layers_that_need_not_change_do_not(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layers_plan, "REQUEST", 0)  # packages of some bytes have a layer each
    built = world
    built.spec("packages: [hello]\n")
    assert built.run("app.yaml").status == 0
    plan = built.lock()["layers"]
    assert len(plan) == 3
    before = built.image().layer_digests
    built.add(make_deb("hello", "1.0+b1", "amd64", fields={"Depends": "libc, data"}))
    built.publish(later=60)
    assert built.run("update", "app.yaml").status == 0
    assert built.lock()["layers"] == plan
    assert built.run("app.yaml").status == 0
    assert len(set(before) & set(built.image().layer_digests)) >= 2


def test_a_first_update_adds_everything(world: World) -> None:
    world.spec("packages: [tool]\n")
    dry = world.run("update", "-n", "app.yaml")
    assert dry.status == 0
    assert dry.stdout.startswith("tool  added 3.1\ndebian bookworm: none → ")
    assert world.remains() == ["app.yaml"]
    assert world.run("update", "app.yaml").stdout == dry.stdout
    assert world.versions() == {"tool": "3.1"}


def test_a_lock_is_not_rolled_back(built: World) -> None:
    before = (built.folder / "app.lock.json").read_bytes()
    built.publish(later=-86400)
    result = built.run("update", "-q", "app.yaml")
    assert (result.status, result.data) == (6, b"")
    assert result.stderr.startswith("error: debian dists/bookworm/InRelease: the release is of ")
    assert ", older than the lock's of " in result.stderr
    assert result.stderr.endswith(
        "\n\nhint: the mirror lags behind or was rolled back: try another one (--mirror)\n"
    )
    assert (built.folder / "app.lock.json").read_bytes() == before


# ---- what is chosen ------------------------------------------------------------------------------


def test_pins_blocks_and_recommends_decide(world: World) -> None:
    world.add(make_deb("hello", "2.0", "amd64"))
    world.publish()
    for text, versions in {
        "packages: [hello]": {"hello": "2.0"},
        "packages: ['hello=1.*']": {"hello": "1.0", "libc": "2.36-9", "data": "5"},
        "packages: ['hello<<2']\nrecommends: true": {
            "hello": "1.0", "libc": "2.36-9", "data": "5", "extras": "1",
        },
        "packages: ['hello<<2']\nrecommends: true\nblock: [extras]": {
            "hello": "1.0", "libc": "2.36-9", "data": "5",
        },
    }.items():  # fmt: skip
        world.spec(text)
        assert world.run("lock", "app.yaml").status == 0
        assert world.versions() == versions


def test_a_blocked_dependency_is_explained(world: World) -> None:
    world.spec("packages: [hello]\nblock: [data]\n")
    assert world.run("-q", "app.yaml") == (
        4,
        b"",
        (
            'error: app.yaml:2:12: no set of packages answers "hello"\n'
            '  because you ask for "hello" (app.yaml:2:12)\n'
            "  and hello 1.0 depends on data\n"
            '  and data is blocked by "data" (app.yaml:3:9)\n\n'
            'hint: change or remove "hello" (app.yaml:2:12) or "data" (app.yaml:3:9)\n'
        ),
    )
    assert world.remains() == ["app.yaml"]


# ---- mirrors -------------------------------------------------------------------------------------


def test_mirrors_are_taken_from_spec_option_environment_and_config_in_that_order(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = world.mirror, "http://127.0.0.1:9/debian"
    config = world.root / ".config/imgbuild/config.yaml"
    config.parent.mkdir(parents=True)
    cases = [
        (f"distro: {{name: debian, suite: bookworm, mirror: '{good}'}}", bad, bad, bad),
        ("distro: debian/bookworm", good, bad, bad),
        ("distro: debian/bookworm", "", good, bad),
        ("distro: debian/bookworm", "", "", good),
    ]
    for number, (spec, option, variable, configured) in enumerate(cases):
        world.write("app.yaml", f"{spec}\npackages: [tool]\n")
        (world.folder / "app.lock.json").unlink(missing_ok=True)
        config.write_text(f"mirrors: {{debian: '{configured}'}}\n")
        monkeypatch.setenv("IMGBUILD_MIRROR_DEBIAN", variable)
        words = ["--mirror", option] if option else []
        result = world.run("lock", "app.yaml", "--cache", f"cache{number}", *words)
        assert result.status == 0, (number, result.stderr)


def test_a_user_config_that_is_none_is_told(world: World) -> None:
    config = world.root / ".config/imgbuild/config.yaml"
    config.parent.mkdir(parents=True)
    config.write_text("mirror: x\n")
    world.spec("packages: [tool]\n")
    assert world.run("app.yaml") == (
        2,
        b"",
        f"error: {config}: user config: Object contains unknown field `mirror`\n",
    )


def test_an_own_repository_is_used_with_its_own_key(world: World) -> None:
    from tests.simulators.archive import Archive, certificate

    own = Archive(suite="stable", keys=("own",))
    own.add(make_deb("app", "1", "amd64", fields={"Depends": "libc"}))
    own.publish()
    world.server.files.update({f"own/{path}": content for path, content in own.files.items()})
    (world.folder / "own.pgp").write_bytes(certificate("own"))
    (world.folder / "wrong.pgp").write_bytes(certificate("wrong"))
    text = (
        f"packages: [app]\nrepositories: [{{name: own, url: '{world.server.url}/own', suite: stable, "
        "components: [main], keys: [own.pgp]}]\n"
    )
    world.spec(text)
    assert world.run("app.yaml").status == 0
    assert world.versions() == {"app": "1", "libc": "2.36-9"}
    world.spec(text.replace("own.pgp", "wrong.pgp"), "b.yaml")
    result = world.run("-q", "b.yaml", "--cache", "other")
    assert (result.status, result.data) == (6, b"")
    world.spec(text.replace("own.pgp", "gone.pgp"), "c.yaml")
    assert world.run("c.yaml") == (
        3,
        b"",
        (
            f"error: c.yaml:3:{text.splitlines()[1].index('own.pgp') + 1}: cannot read the key file "
            f"{world.folder}/gone.pgp: No such file or directory\n"
        ),
    )
