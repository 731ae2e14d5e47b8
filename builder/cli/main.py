"""The entry of the command ``imgbuild``: run it, put errors into words, return the exit status.

Only this room prints or exits. Data goes to stdout, everything else to stderr.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from builder.errors import ImgbuildError, UsageError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line ARGV (default: the process's own) and return its exit status.

    0 done, 1 a defect of ours, 130 Ctrl-C, 141 the reader of stdout went away; else `builder.errors`.
    """
    from builder.cli.group import imgbuild

    try:
        result = imgbuild.main(
            args=list(sys.argv[1:] if argv is None else argv),
            prog_name="imgbuild",
            standalone_mode=False,
        )
        sys.stdout.flush()
    except ImgbuildError as error:
        _complain(error)
        return error.exit_status
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return 0
    except click.ClickException as error:
        _complain(_usage_error(error))
        return UsageError.exit_status
    except (KeyboardInterrupt, click.Abort):
        click.echo("stopped", err=True)  # click has closed the terminal's ^C line
        return 130
    except SystemExit as stop:
        # click exits by itself after a shell's completion, and when the reader of stdout has gone.
        result = stop.code if "_IMGBUILD_COMPLETE" in os.environ else 141
    except BrokenPipeError:
        _forget_stdout()
        return 141
    return result if isinstance(result, int) else 0


def _usage_error(error: click.ClickException) -> UsageError:
    """Return click's complaint as one of ours: no full stop, and how to find out more."""
    hint = None
    if isinstance(error, click.UsageError) and error.ctx is not None:
        hint = f'try "{error.ctx.command_path} --help"'
    message, _, guess = error.format_message().partition("Did you mean ")
    if guess:
        hint = f"did you mean {guess.removesuffix(')')}"
    message = message.rstrip(" (.")
    return UsageError(message[:1].lower() + message[1:], hint=hint)


def _complain(error: ImgbuildError) -> None:
    """Write the error's text to stderr, its first words coloured where the terminal takes it."""
    from builder.cli.terminal import has_colour

    text = error.render()
    if has_colour(sys.stderr):
        text = text.replace("error:", "\x1b[1;31merror:\x1b[0m").replace(
            "hint:", "\x1b[1;36mhint:\x1b[0m"
        )
    print(text, file=sys.stderr, flush=True)  # click's echo would strip colours that were forced


def _forget_stdout() -> None:
    """Point stdout at nothing, so that Python's flush at exit does not fail once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
