"""The papers say what is so: links, commands, specs; and no file names a mirror of this machine."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import click
import pytest

from builder.errors import UsageError
from builder.repository import apt, distros
from builder.repository.mirrors import _parse_config
from builder.spec import load_spec
from tests import papers
from tests.makers.deb import Reg, make_deb
from tests.papers import ROOT, Block, blocks, pages, tracked
from tests.simulators.archive import Archive
from tests.simulators.world import World, make_empty_world

__all__ = ["make_empty_world"]

PAGES = pages()
TUTORIAL = ROOT / "docs/tutorial/first-image.md"
README = (ROOT / "README.md").read_text(encoding="utf-8")


def _names(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def _all(language: str) -> list[Block]:
    return [block for page in PAGES for block in blocks(page, language)]


# ---- links and words ---------------------------------------------------------------------------


def _anchor(heading: str) -> str:
    """Return the anchor that a forge gives HEADING."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=_names)
def test_links_lead_to_files_that_are_there(page: Path) -> None:
    text = re.sub(r"(?ms)^```.*?^```$|`[^`\n]*`", "", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        assert place.exists(), target
        if anchor:
            headings = re.findall(r"(?m)^#+ (.+)$", place.read_text(encoding="utf-8"))
            assert anchor in map(_anchor, headings), target


def test_every_page_of_the_documentation_is_listed() -> None:
    index = (ROOT / "docs/index.md").read_text()
    decisions = (ROOT / "docs/adr/README.md").read_text()
    for page in PAGES:
        if page.parent == ROOT / "docs/adr":
            assert page.name == "README.md" or f"({page.name})" in decisions
        elif page.is_relative_to(ROOT / "docs") and page.name != "index.md":
            assert f"({page.relative_to(ROOT / 'docs')})" in index


def test_decisions_are_numbered_without_gap_or_clash() -> None:
    numbers = [page.name[:4] for page in sorted((ROOT / "docs/adr").glob("[0-9]*.md"))]
    assert numbers == [f"{number:04}" for number in range(1, len(numbers) + 1)]
    for page in (ROOT / "docs/adr").glob("[0-9]*.md"):
        assert page.read_text().startswith(f"# {int(page.name[:4])}. ")


def test_nothing_is_left_to_do_in_the_program() -> None:
    mark = re.compile("|".join(("TO" + "DO", "FIX" + "ME", "X" * 3)))
    for path in (ROOT / "builder").rglob("*.py"):
        assert not mark.search(path.read_text(encoding="utf-8")), path


@pytest.mark.parametrize("page", PAGES, ids=_names)
def test_no_page_has_a_place_that_is_still_to_be_filled(page: Path) -> None:
    text = re.sub(r"(?ms)^```.*?^```$", "", page.read_text(encoding="utf-8"))
    assert not re.search(r"(?m)^[A-Z]{4,}$", text)
    assert not re.search(r"(?i)\b(TBD|TO" + r"DO|lorem|to be filled|coming soon)\b", text)


# ---- specs and commands ------------------------------------------------------------------------


@pytest.mark.parametrize("block", _all("yaml"), ids=str)
def test_specs_on_the_pages_are_specs(block: Block) -> None:
    if block.text.startswith("mirrors:"):
        assert _parse_config(block.text, "config.yaml")
    elif re.search(r"(?m)^\w", block.text) and "# yaml-language-server" not in block.text:
        assert load_spec(block.text, "spec.yaml").spec.distro.name in ("debian", "ubuntu")


def _typed(block: Block) -> Iterator[list[str]]:
    """Yield the words of each command of ours in BLOCK, from the name on."""
    for line in re.findall(r"(?m)^\$ (.*)$", block.text):
        for command in re.split(r"&&|\|\|?|;", line):
            words = shlex.split(command.partition(">")[0])
            if words and words[0].rpartition("/")[2] == "imgbuild":
                yield words[1:]


@pytest.mark.parametrize("block", _all("console"), ids=str)
def test_commands_on_the_pages_are_understood(block: Block) -> None:
    from builder.cli.group import imgbuild

    for words in _typed(block):
        if words == ["--version"]:
            continue
        context: click.Context = imgbuild.make_context("imgbuild", list(words))
        while isinstance(context.command, click.Group):
            rest = [*context._protected_args, *context.args]
            name, command, rest = context.command.resolve_command(context, rest)
            assert command is not None
            context = command.make_context(name, rest, parent=context)


def test_a_command_that_is_wrong_would_be_noticed() -> None:
    block = Block(TUTORIAL, 1, "console", "$ .venv/bin/imgbuild lock --chek app.yaml\n", "")
    with pytest.raises((click.ClickException, UsageError)):
        test_commands_on_the_pages_are_understood(block)


def test_the_page_of_the_command_line_is_what_the_command_says() -> None:
    page = papers.CLI_PAGE.read_text(encoding="utf-8")
    # Another click may break lines elsewhere.
    assert page.split() == papers.cli_page().split(), "run: python -m tests.papers"


def test_the_readme_knows_every_command_and_no_other() -> None:
    named = set(re.findall(r"(?m)^\| `imgbuild (\w+)", README)) - {"SPEC"}
    known = {words.split()[1] for words, _ in papers.commands() if words.count(" ") == 1} - {"build"}
    assert named == known


def test_the_test_command_of_the_readme_is_the_one_ci_runs() -> None:
    commands = re.findall(r"(?m)^\$ (python3 -m venv .*pytest)$", README)
    assert len(commands) == 1
    assert f"\n{commands[0]}\n" in (ROOT / ".ci/run").read_text()


def test_the_spec_of_the_readme_has_ten_lines() -> None:
    [block] = blocks(ROOT / "README.md", "yaml")
    assert len(block.text.splitlines()) == 10


def test_the_spec_that_the_readme_builds_is_there() -> None:
    for path in set(re.findall(r"examples/[\w-]+/spec\.yaml", README)):
        assert load_spec((ROOT / path).read_bytes(), path).spec.packages


# ---- the tutorial ------------------------------------------------------------------------------


@pytest.fixture
def lesson(empty_world: World) -> World:
    """A trixie with what the tutorial asks for, and its folder."""
    world = empty_world
    for name, suite in (
        ("main", "trixie"),
        ("updates", "trixie-updates"),
        ("security", "trixie-security"),
    ):
        setattr(world, name, Archive(suite=suite))
    world.add(
        make_deb("libssl3t64", "3.5", "amd64", [Reg(0o644, "./usr/lib/libssl.so.3", "ssl")]),
        make_deb(
            "python3",
            "3.13",
            "amd64",
            [Reg(0o755, "./usr/bin/python3", "python")],
            fields={"Depends": "libssl3t64"},
        ),
        make_deb(
            "ca-certificates", "2025", "all", [Reg(0o644, "./usr/share/ca-certificates/a.crt", "")]
        ),
    )
    world.publish()
    return world


def test_the_tutorial_can_be_followed_from_its_first_line_to_its_last(
    lesson: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests: list[str] = []
    written = {"yaml": "hello.yaml", "python": "app/main.py"}
    for block in blocks(TUTORIAL):
        if block.language in written:
            assert f"`{written[block.language]}`" in block.lead
            lesson.write(written[block.language], block.text)
            time.sleep(2.1)  # a reader's time: a file that has just changed is not trusted to `stat`
        elif block.language == "console":
            _follow(block, lesson, monkeypatch, digests)
    told = re.findall(r"(?m)^hello@(sha256:\w{64})$", TUTORIAL.read_text())
    # Equal where the page says equal, another where it says another.
    assert [told.index(digest) for digest in told] == [digests.index(digest) for digest in digests]


def _follow(block: Block, world: World, monkeypatch: pytest.MonkeyPatch, digests: list[str]) -> None:
    """Type what BLOCK types, in the folder where the reader is; ours must show what the page shows."""
    for line, shown in re.findall(r"(?m)^\$ (.*)\n((?:(?!\$ ).*\n)*)", block.text):
        words = shlex.split(line)
        if words[0] == "imgbuild":
            result = world.run(*words[1:])
            assert result.status == 0, result.stderr
            digests += re.findall(r"(?m)^hello@(.*)$", result.stdout)
            assert _stages(result.stderr) == _stages(shown)
        elif words[0] == "cd":
            monkeypatch.chdir(words[1])
        elif words[0] in ("sed", "mkdir"):
            subprocess.run(line, shell=True, check=True)  # noqa: S602  # a line of our own page
        else:
            assert words[0] in ("python3", "docker", ".")


def _stages(text: str) -> list[str]:
    """Return the stages that lines of TEXT tell, in their order."""
    return re.findall(r"(?m)^([a-z ]+): .* \(\d+\.\d s\)$", text)


# ---- hosts -------------------------------------------------------------------------------------


def _apt_hosts() -> Iterator[str]:
    for source in apt.sources(Path("/")):
        for uri in source.uris:
            yield urlsplit(uri).hostname or ""


def _pip_hosts() -> Iterator[str]:
    """Yield the hosts of pip's configuration, and of its default index."""
    script = "from pip._internal.models.index import PyPI; print(PyPI.url, PyPI.file_storage_domain)"
    for command in (["-m", "pip", "config", "list"], ["-c", script]):
        done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
        for word in re.findall(r"[^\s'\"]+", done.stdout):
            yield urlsplit(word).hostname or (word if re.fullmatch(r"[\w-]+(\.[\w-]+)+", word) else "")


def _npm_hosts() -> Iterator[str]:
    if shutil.which("npm"):
        done = subprocess.run(
            ["npm", "config", "get", "registry"], capture_output=True, text=True, check=False
        )
        yield urlsplit(done.stdout.strip()).hostname or ""


@pytest.mark.parametrize("hosts", [_apt_hosts, _pip_hosts, _npm_hosts])
def test_no_file_names_a_host_that_this_machine_gets_packages_from(
    hosts: Callable[[], Iterator[str]],
) -> None:
    """Whoever builds has mirrors of their own; ours must be in no file, or they would be asked."""
    defaults = [
        archive.mirrors
        for name in ("debian", "ubuntu")
        for archive in distros.load(name).archives.values()
    ]
    shipped = {urlsplit(url).hostname for urls in defaults for url in urls}
    names = {host for host in hosts() if "." in host} - shipped
    if not names:
        pytest.skip("this machine's configuration names no host")
    for path in tracked():
        content = path.read_bytes()
        assert not [name for name in names if name.encode() in content], path
