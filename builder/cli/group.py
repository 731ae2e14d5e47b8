"""The command ``imgbuild`` and its subcommands; ``build`` is implied.

Subcommands are imported when they run: their names and short help stand here, so that
``imgbuild --help`` and a warm build load nothing they do not need.
"""

from __future__ import annotations

import importlib
import os

import click

from builder import __version__
from builder.errors import UsageError

_COMMANDS = {
    "build": "Build an image from a spec (implied: imgbuild SPEC).",
    "lock": "Choose the packages of a spec and write them to its lock.",
    "update": "Take the newest packages and show what changes.",
    "why": "Show why a package is in the image.",
    "tree": "Show the packages of a lock as a tree of dependencies.",
    "diff": "Show what differs between two locks.",
    "cache": "Look at, check or shrink the cache.",
    "schema": "Print the JSON Schema of the spec or the lock.",
    "init": "Write a commented spec to start from.",
    "completion": "Print the completion script of a shell.",
}
_GROUP_OPTIONS = frozenset({"-h", "--help", "--version"})


class CommandGroup(click.Group):
    """Finds a subcommand by name, or takes the words as those of ``build``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of a user's day, not the alphabet's."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the command called CMD_NAME."""
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"builder.cli.commands.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing one."""
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put ``build`` in front of words that name no command."""
        if args and args[0] not in _COMMANDS and args[0] not in _GROUP_OPTIONS:
            _refuse_misspelt_command(args[0])
            _refuse_options_first(args)
            args = ["build", *args]
        return super().parse_args(ctx, args)


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="imgbuild %(version)s")
def imgbuild() -> None:
    """Turn packages of curated distributions into minimal, reproducible OCI images.

    \b
    imgbuild init app.yaml       write a spec to start from
    imgbuild app.yaml            choose packages, lock them, build, print the digest
    imgbuild update app.yaml     take the newest packages, show what changes
    """


def _refuse_options_first(args: list[str]) -> None:
    """Raise for options before a command's name, which would be taken for a spec of ``build``."""
    word = next((arg for arg in args if not arg.startswith("-")), "")
    if word in _COMMANDS and args[0].startswith("-") and not os.path.exists(word):
        place = args.index(word)
        words = " ".join(["imgbuild", word, *args[:place], *args[place + 1 :]])
        raise UsageError(
            f'options stand before the command "{word}"',
            hint=f'write "{words}"',
        )


def _refuse_misspelt_command(word: str) -> None:
    """Raise for a WORD that is neither file nor option but almost a command's name."""
    if word.startswith("-") or os.path.exists(word) or any(mark in word for mark in "./"):
        return
    import difflib

    near = difflib.get_close_matches(word, _COMMANDS, n=1)
    hint = f'did you mean "imgbuild {near[0]}"?' if near else 'try "imgbuild --help"'
    raise UsageError(f'there is no command and no file "{word}"', hint=hint)
