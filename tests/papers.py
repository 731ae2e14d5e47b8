"""What the papers are checked by: their pages, fenced blocks, and the text of the command's help.

``python -m tests.papers`` writes docs/reference/cli.md anew.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click

ROOT = Path(__file__).resolve().parents[1]
CLI_PAGE = ROOT / "docs/reference/cli.md"

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


if __name__ == "__main__":
    CLI_PAGE.write_text(cli_page(), encoding="utf-8")
