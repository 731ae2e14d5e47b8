"""The command line as people and scripts meet it: words, streams, exit statuses."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from builder import __version__
from builder.cli.main import main
from builder.errors import ImgbuildError
from tests.makers.deb import Reg, make_deb
from tests.simulators.http import Fault
from tests.simulators.world import World

# ---- usage ---------------------------------------------------------------------------------------


def test_without_arguments_help_is_shown(world: World) -> None:
    result = world.run()
    assert (result.status, result.stderr) == (0, "")
    assert result.stdout == world.run("--help").stdout
    assert "  imgbuild app.yaml            choose packages, lock them, build, print the digest\n" in (
        result.stdout
    )
    assert world.run("--version").stdout == f"imgbuild {__version__}\n"


@pytest.mark.parametrize(
    "name",
    ["build", "lock", "update", "why", "tree", "diff", "cache", "schema", "init", "completion"],
)
def test_each_command_has_help_and_stands_in_the_list(world: World, name: str) -> None:
    for words in ((name, "--help"), (name, "-h")):
        result = world.run(*words)
        assert (result.status, result.stderr) == (0, "")
        assert result.stdout.startswith(f"Usage: imgbuild {name} ")
    assert f"\n  {name} " in world.run("--help").stdout


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (
            ["lok", "app.yaml"],
            'there is no command and no file "lok"\n\nhint: did you mean "imgbuild lock"?',
        ),
        (
            ["-q", "lock", "x.yaml"],
            'options stand before the command "lock"\n\nhint: write "imgbuild lock -q x.yaml"',
        ),
        (["frob"], 'there is no command and no file "frob"\n\nhint: try "imgbuild --help"'),
        (
            ["none.yaml"],
            'there is no spec "none.yaml"\n\nhint: "imgbuild init none.yaml" writes one to start from',
        ),
        (
            ["lock", "none.yaml"],
            'there is no spec "none.yaml"\n\nhint: "imgbuild init none.yaml" writes one to start from',
        ),
        (["build"], "missing argument 'SPEC'\n\nhint: try \"imgbuild build --help\""),
        (
            ["app.yaml", "again.yaml"],
            'got unexpected extra argument (again.yaml)\n\nhint: try "imgbuild build --help"',
        ),
        (["app.yaml", "--frob"], "no such option '--frob'\n\nhint: try \"imgbuild build --help\""),
        (
            ["app.yaml", "--lockd"],
            "no such option '--lockd'\n\nhint: did you mean one of: '--lock', '--locked'?",
        ),
        (["cache", "verfy"], "no such command 'verfy'\n\nhint: did you mean 'verify'?"),
        (
            ["folder"],
            (
                "invalid value for 'SPEC': File 'folder' is a directory\n\n"
                'hint: try "imgbuild build --help"'
            ),
        ),
        (
            ["app.yaml", "-o", "frob:x"],
            (
                '-o: "frob:x" is no destination\n\n'
                "hint: use one of oci:DIR, oci-archive:FILE, docker-archive:FILE, rootfs:DIR, tar:FILE"
            ),
        ),
        (["app.yaml", "-o", "tar:"], '-o: "tar:" names no place\n\nhint: write tar:FILE'),
        (
            ["app.yaml", "-o", "oci:x", "-o", "rootfs:x/"],
            '-o: "oci:x" and "rootfs:x/" write to the same place',
        ),
        (
            ["app.yaml", "--arch", "arm64"],
            '--arch: the spec has no architecture "arm64"\n\nhint: it has amd64',
        ),
        (
            ["app.yaml", "--mirror", "ftp://x"],
            (
                "--mirror: 'ftp://x' is no mirror\n\n"
                "hint: a mirror is the root of an archive, such as http://mirror.example.com/debian"
            ),
        ),
        (["diff", "a.json", "app.yaml"], 'there is no lock "a.json"'),
        (
            ["tree", "app.yaml"],
            'there is no lock "app.lock.json"\n\nhint: "imgbuild lock app.yaml" makes it',
        ),
        (
            ["cache", "gc", "--max-size", "10Q"],
            '--max-size: "10Q" is no size\n\nhint: write 500M, 2G or 0',
        ),
        (["cache", "gc"], "missing option '--max-size'\n\nhint: try \"imgbuild cache gc --help\""),
        (["init", "app.yaml"], "app.yaml is there already\n\nhint: --force overwrites it"),
        (
            ["init", "x.yaml", "--distro", "debian/bookwrm"],
            '--distro: Debian has no suite "bookwrm"\n\nhint: did you mean "bookworm"?',
        ),
        (["init", "no/x.yaml"], "cannot write no/x.yaml: No such file or directory"),
        (
            ["schema", "lok"],
            (
                "invalid value for '[spec|lock]': 'lok' is not one of 'spec', 'lock'\n\n"
                'hint: try "imgbuild schema --help"'
            ),
        ),
    ],
)
def test_what_cannot_be_done_is_told_whole(world: World, words: list[str], text: str) -> None:
    world.spec("packages: [tool]\n")
    (world.folder / "folder").mkdir()
    assert world.run(*words) == (2, b"", f"error: {text}\n")
    assert world.remains() == ["app.yaml", "folder"]
    assert world.server.paths == []


def test_all_faults_of_a_spec_come_in_one_run(world: World) -> None:
    world.spec("packages: [a, a, 1.2]\nfoo: 1\n")
    assert world.run("app.yaml") == (
        3,
        b"",
        """\
error: app.yaml:2:15: packages[1]: "a" repeats the entry in line 2
    packages: [a, a, 1.2]
                  ^

hint: keep the entry that says more

error: app.yaml:2:18: packages[2]: must be text, not the number 1.2
    packages: [a, a, 1.2]
                     ~~^

hint: write "1.2" in quotes: without them YAML reads a number

error: app.yaml:3:1: unknown key "foo"
    foo: 1
    ~~^
""",
    )


def test_all_that_a_distribution_does_not_have_comes_in_one_run(world: World) -> None:
    world.write(
        "app.yaml",
        "distro: {name: debian, suite: bookwurm, components: [mein]}\narchitectures: [amd65]\n",
    )
    assert world.run("app.yaml") == (
        3,
        b"",
        """\
error: app.yaml:1:31: Debian has no suite "bookwurm"

hint: did you mean "bookworm"?

error: app.yaml:1:54: Debian has no component "mein"

hint: did you mean "main"?

error: app.yaml:2:17: Debian has no architecture "amd65"

hint: did you mean "amd64"?
""",
    )


# ---- every exit status ---------------------------------------------------------------------------


def _unsigned(world: World) -> None:
    world.main.keys = ("stranger",)
    world.publish()


def _bad_package(world: World) -> None:
    world.add(make_deb("bad", "1", "amd64", [Reg(0o644, "./usr/../../x")]))
    world.publish()
    world.spec("packages: [bad]\n")


def _clash(world: World) -> None:
    world.add(make_deb("clash", "1", "amd64", [Reg(0o755, "./usr/bin/tool", "mine")]))
    world.publish()
    world.spec("packages: [tool, clash]\n")


def _cache_is_a_file(world: World) -> None:
    world.cache.write_text("")


def _place_is_taken(world: World) -> None:
    world.write("app.oci", "mine")


def _no_mirror(world: World) -> None:
    world.server.files.clear()


def _broken_lock(world: World) -> None:
    world.write("app.lock.json", "{")


STATUSES = {
    3: lambda world: world.spec("frob: 1\n"),
    4: lambda world: world.spec("packages: [nothing]\n"),
    5: _broken_lock,
    6: _unsigned,
    7: _no_mirror,
    8: _bad_package,
    9: _clash,
    10: _cache_is_a_file,
    11: _place_is_taken,
}


@pytest.mark.parametrize("status", STATUSES)
def test_each_class_of_errors_has_its_exit_status(world: World, status: int) -> None:
    world.spec("packages: [tool]\n")
    STATUSES[status](world)
    result = world.run("-q", "app.yaml")
    assert (result.status, result.data) == (status, b""), result.stderr
    assert result.stderr.startswith("error: ")
    assert not [name for name in world.remains() if name.endswith(".tmp")]


def test_no_class_of_errors_is_left_out() -> None:
    statuses = {kind.exit_status for kind in ImgbuildError.__subclasses__()}
    assert statuses == {2, *STATUSES}


# ---- words on the streams ------------------------------------------------------------------------


def test_quiet_says_nothing_on_stderr(world: World) -> None:
    world.spec("packages: [hello]\n")
    for words in (("app.yaml", "-q"), ("lock", "app.yaml", "-q"), ("update", "app.yaml", "--quiet")):
        result = world.run(*words)
        assert (result.status, result.stderr) == (0, "")


def test_json_says_what_was_built(world: World) -> None:
    world.spec("image: example.com/app:1\npackages: [hello]\n")
    result = world.run("--json", "app.yaml", "-o", "oci:x", "-q")
    digest = world.image("x").digest
    assert json.loads(result.stdout) == {
        "image": "example.com/app:1",
        "digest": digest,
        "reference": f"example.com/app:1@{digest}",
        "platforms": ["linux/amd64"],
        "outputs": ["oci:x"],
    }
    assert world.run("--json", "app.yaml", "-o", "oci:x") == result  # warm


@pytest.mark.parametrize(
    ("variables", "is_coloured"),
    [
        ({}, False),
        ({"FORCE_COLOR": "1"}, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        ({"NO_COLOR": "1"}, False),
    ],
)
def test_colours_are_forced_and_forbidden_by_variables(
    world: World, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], is_coloured: bool
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    text = world.run("none.yaml").stderr
    assert text.startswith("\x1b[1;31merror:\x1b[0m there is" if is_coloured else "error: there is")
    assert ("\x1b[1;36mhint:\x1b[0m" in text) == is_coloured


def test_why_and_tree_show_the_chains(world: World) -> None:
    world.spec("packages: [hello, data]\n")
    assert world.run("lock", "app.yaml").status == 0
    assert world.run("why", "app.yaml", "data").stdout == "spec → data\nspec → hello → data\n"
    assert json.loads(world.run("why", "app.lock.json", "libc", "--json").stdout) == {
        "package": "libc",
        "architecture": "amd64",
        "chains": [["hello", "libc"]],
    }
    assert world.run("why", "app.yaml", "lib") == (
        5,
        b"",
        'error: package "lib" is not in the image for amd64\n\nhint: did you mean "libc"?\n',
    )
    assert world.run("tree", "app.yaml").stdout == ("data 5\nhello 1.0\n├── data 5\n└── libc 2.36-9\n")
    assert world.run("tree", "app.yaml", "--dot").stdout == (
        'digraph "amd64" {\n  node [shape=ellipse];\n  "data" [shape=box];\n  "hello" [shape=box];\n'
        '  "libc";\n  "hello" -> "data";\n  "hello" -> "libc";\n}\n'
    )
    assert [root["name"] for root in json.loads(world.run("tree", "app.yaml", "--json").stdout)] == [
        "data",
        "hello",
    ]
    assert world.run("tree", "app.yaml", "--arch", "arm64").stderr == (
        'error: --arch: the lock has no architecture "arm64"\n\nhint: it has amd64\n'
    )


def test_the_cache_is_listed_checked_and_emptied(world: World) -> None:
    world.spec("packages: [hello]\n")
    digest = world.run("app.yaml").digest
    listed = json.loads(world.run("cache", "ls", "--json").stdout)
    assert listed["folder"] == str(world.cache)
    lines = world.run("cache", "ls").stdout.splitlines()
    assert lines[0] == str(world.cache)
    assert lines[-1].startswith("total ")
    assert world.run("cache", "verify") == (0, b"", "the cache is clean\n")
    blob = max((world.cache / "blobs-v1/sha256").glob("*/*"), key=lambda path: path.stat().st_size)
    blob.chmod(0o644)
    blob.write_bytes(b"x" * blob.stat().st_size)
    damaged = world.run("cache", "verify")
    assert damaged.status == 10
    assert damaged.stderr.endswith(
        f"error: {world.cache}: 1 damaged files were dropped\n\n"
        "hint: build again: what is missing is fetched or made anew\n"
    )
    assert world.run("app.yaml", "-o", "oci:again").digest == digest
    assert world.run("cache", "gc", "--max-size", "0").stdout.endswith("0 files, 0 B remain\n")
    assert world.run("app.yaml", "-o", "oci:more").digest == digest


def test_schemas_are_those_of_the_repository(world: World) -> None:
    root = Path(__file__).parents[2] / "specs"
    for kind in ("spec", "lock"):
        shown = json.loads(world.run("schema", kind).stdout)
        assert shown == json.loads((root / f"{kind}.schema.json").read_bytes())
    assert world.run("schema").data == world.run("schema", "spec").data


def test_init_writes_what_builds(world: World) -> None:
    world.add(make_deb("python3", "3.11", "amd64", [Reg(0o755, "./usr/bin/python3", "ELF")]))
    world.publish()
    assert world.run("init", "web.yaml", "--distro", "debian/bookworm") == (
        0,
        b"",
        "wrote web.yaml; build it with: imgbuild web.yaml\n",
    )
    assert world.run("web.yaml").stdout.startswith("web@sha256:")
    before = (world.folder / "web.yaml").read_bytes()
    assert world.run("init", "web.yaml").status == 2
    assert (world.folder / "web.yaml").read_bytes() == before
    assert world.run("init", "web.yaml", "--force").status == 0
    assert (world.folder / "web.yaml").read_bytes() != before


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(world: World, shell: str) -> None:
    result = world.run("completion", shell)
    assert (result.status, result.stderr) == (0, "")
    assert "_IMGBUILD_COMPLETE" in result.stdout


def test_completion_completes_commands_and_options(world: World) -> None:
    for words, wanted in (("imgbuild lo", "lock"), ("imgbuild build --off", "--offline")):
        count = len(words.split()) - 1
        answer = world.execute(
            environment={
                "_IMGBUILD_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(count),
            }
        )  # fmt: skip
        assert answer.stdout.splitlines() == [f"plain,{wanted}"], answer


# ---- processes -----------------------------------------------------------------------------------


def test_an_unchanged_build_loads_neither_yaml_nor_what_fetches(world: World) -> None:
    world.spec("packages: [hello]\n")
    assert world.run("app.yaml").status == 0
    code = (
        "import sys; from builder.cli.main import main; status = main(sys.argv[1:]); "
        "print(*sorted(sys.modules), sep='\\n'); sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "app.yaml"],
        cwd=world.folder, env=world.environment, capture_output=True, check=True, text=True,
    )  # fmt: skip
    first, *modules = done.stdout.splitlines()
    assert first == f"app@{world.image().digest}"
    heavy = {
        "yaml", "requests", "rich", "zstandard", "networkx", "pysequoia", "sqlite3", "tarfile",
        "concurrent.futures", "builder.spec.loader", "builder.resolve.resolution",
    }  # fmt: skip
    assert heavy & set(modules) == set()


def test_ctrl_c_says_stopped_and_leaves_nothing(world: World) -> None:
    world.spec("packages: [hello]\n")
    assert world.run("lock", "app.yaml").status == 0
    package = "debian/pool/main/l/libc/libc_2.36-9_amd64.deb"
    world.server.fail(package, Fault(stall=100))
    asked = threading.Event()
    world.server.on_request = lambda seen: asked.set() if seen.path == package else None
    with world.start("app.yaml", timeout=30.0) as process:
        assert asked.wait(20)
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=10)
    assert (process.returncode, out) == (130, b"")
    assert errors.decode().splitlines()[-1] == "stopped"
    assert b"Traceback" not in errors
    assert world.remains() == ["app.lock.json", "app.yaml"]
    world.server.fail(package)
    assert world.run("app.yaml").status == 0


def test_a_reader_that_goes_away_is_no_traceback(world: World) -> None:
    big = make_deb("big", "1", "amd64", [Reg(0o644, "./usr/big", os.urandom(1 << 20))])
    world.add(big)
    world.publish()
    world.spec("packages: [big]\n")
    assert world.run("lock", "app.yaml").status == 0
    for words, statuses in ((["app.yaml", "-o", "tar:-"], {11}), (["schema"], {141})):
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run(
            world.command(*words),
            cwd=world.folder, env=world.environment, stdout=writer, stderr=subprocess.PIPE, check=False,
        )  # fmt: skip
        os.close(writer)
        assert done.returncode in statuses, done.stderr
        assert b"Traceback" not in done.stderr
        assert b"Exception ignored" not in done.stderr


def test_on_a_terminal_there_are_bars_and_each_stage_leaves_a_line(world: World) -> None:
    world.spec("packages: [hello]\n")
    main_end, end = pty.openpty()
    process = subprocess.Popen(
        world.command("app.yaml"),
        cwd=world.folder,
        env=world.environment | {"TERM": "xterm", "COLUMNS": "100"},
        stdout=subprocess.PIPE,
        stderr=end,
    )
    os.close(end)
    shown = b""
    with process:
        while True:
            try:
                data = os.read(main_end, 1 << 16)
            except OSError:  # the other end is closed
                break
            if not data:
                break
            shown += data
    os.close(main_end)
    assert process.returncode == 0, shown.decode()
    text = shown.decode()
    assert "\x1b[" in text
    assert "unpacking: 3 packages" in text
    assert "\x1b[?25h" in text  # the cursor is shown again
    assert text.rstrip().endswith("\r\x1b[2K\x1b[?25h")  # the last bar is wiped
    lines = [line.strip() for line in re.sub(r"\x1b\[[?0-9;]*[a-zA-Z]|\r", "\n", text).split("\n")]
    for words in (
        "checking the archive: bookworm, bookworm-updates, bookworm-security",
        "downloading: 3 files, 0.0 MB",
        "unpacking: 3 packages",
        "writing layers: 2 of 2",
        "writing the image: oci:app.oci",
    ):
        assert lines.count(words) == 1


def test_main_takes_the_words_of_the_process(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["imgbuild", "--version"])
    assert main() == 0
    assert capsys.readouterr().out == f"imgbuild {__version__}\n"
