"""What the papers are checked by: their pages, fenced blocks, the command's help, the list of modules.

``python -m tests.papers`` writes docs/reference/cli.md and the modules of ARCHITECTURE.md anew.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click

ROOT = Path(__file__).resolve().parents[1]
CLI_PAGE = ROOT / "docs/reference/cli.md"
ARCHITECTURE = ROOT / "ARCHITECTURE.md"

_ROOMS = {
    "cli": "arguments, words, exit status; the only room that prints",
    "pipeline": "the stages in order; every port is passed in",
    "publish": "destinations",
    "repository": "distributions, mirrors, signed state and package lists",
    "fragments": "a package, or local files, as pieces of layers",
    "fetch": "files of mirrors",
    "store": "the cache",
    "image": "config, manifest, index",
    "layers": "plan, canonical tar, compression",
    "lock": "the lock",
    "resolve": "which packages",
    "formats": "package formats, behind one protocol",
    "effects": "what maintainer scripts would have made",
    "spec": "what the user asks for",
    "tree": "entries and how they merge",
    "trust": "signatures",
}

_INTRODUCTION = """\
# The command line

`imgbuild SPEC` is short for `imgbuild build SPEC`. Options of a command stand behind its name.

Standard output is the result: the image's name and digest, a lock's path and digest, a tree. All words
go to standard error. With `--json` the result is one JSON document. The [exit status](errors.md) says
how it went. What the environment and the user's file add is told in [Configuration](configuration.md).

Below is what `--help` says. `python -m tests.papers` writes this page.
"""


class Block(NamedTuple):
    """A fenced block: the file it stands in, its line, language and text; ``lead`` is the line above."""

    page: Path
    line: int
    language: str
    text: str
    lead: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def tracked() -> list[Path]:
    """Return the files of the repository, new ones that are not ignored included."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    paths = [ROOT / name for name in sorted(set(listed.stdout.split("\0"))) if name]
    return [path for path in paths if path.is_file()]


def pages() -> list[Path]:
    """Return the Markdown pages."""
    return [path for path in tracked() if path.suffix == ".md"]


def blocks(page: Path, language: str = "") -> Iterator[Block]:
    """Yield the fenced blocks of PAGE, those of LANGUAGE only if it is given."""
    text = page.read_text(encoding="utf-8")
    for found in re.finditer(r"(?ms)^```(\w*)\n(.*?)^```$", text):
        if not language or found[1] == language:
            above = text[: found.start()].strip().rpartition("\n")[2]
            line = text.count("\n", 0, found.start()) + 1
            yield Block(page, line, found[1], found[2], above)


def commands() -> Iterator[tuple[str, click.Context]]:
    """Yield the words of each command and a context of it, groups before their members."""
    from builder.cli.group import imgbuild

    names = ["-h", "--help"]
    root = click.Context(imgbuild, info_name="imgbuild", terminal_width=100, help_option_names=names)
    yield from _commands("imgbuild", root)


def _commands(words: str, context: click.Context) -> Iterator[tuple[str, click.Context]]:
    yield words, context
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            command = context.command.get_command(context, name)
            assert command is not None
            inner = click.Context(command, context, info_name=name, terminal_width=100)
            yield from _commands(f"{words} {name}", inner)


def cli_page() -> str:
    """Return what docs/reference/cli.md says."""
    sections = [
        f"## {words}\n\n```text\n{context.command.get_help(context)}\n```\n"
        for words, context in commands()
    ]
    return "\n".join([_INTRODUCTION, *sections])


def modules() -> list[str]:
    """Return the paths of the program's modules, those of packages left out."""
    found = (path.relative_to(ROOT).as_posix() for path in (ROOT / "builder").rglob("*.py"))
    return sorted(path for path in found if not path.endswith("/__init__.py"))


def modules_section() -> str:
    """Return the list of modules, each with the first line of its docstring."""
    groups = {
        f"{room}: {title}": [path for path in modules() if path.startswith(f"builder/{room}/")]
        for room, title in _ROOMS.items()
    }
    groups["Modules without a folder"] = [path for path in modules() if path.count("/") == 1]
    sections = [
        f"### {title}\n\n" + "".join(f"- `{path}`: {_first_line(path)}\n" for path in paths)
        for title, paths in groups.items()
    ]
    return "## Modules\n\n" + "\n".join(sections)


def _first_line(path: str) -> str:
    docstring = ast.get_docstring(ast.parse((ROOT / path).read_text(encoding="utf-8"))) or ""
    line = docstring.partition("\n")[0].replace("``", "`").rstrip(".:")
    return re.sub(r" ?\(DESIGN §\d\)", "", line)


if __name__ == "__main__":
    CLI_PAGE.write_text(cli_page(), encoding="utf-8")
    told = ARCHITECTURE.read_text(encoding="utf-8").partition("## Modules\n")[0]
    ARCHITECTURE.write_text(told + modules_section(), encoding="utf-8")
