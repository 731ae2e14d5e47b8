"""``imgbuild completion``: the script that makes a shell complete the command's words."""

from __future__ import annotations

import click


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script of SHELL.

    \b
    bash:  imgbuild completion bash > ~/.local/share/bash-completion/completions/imgbuild
    zsh:   imgbuild completion zsh > "${fpath[1]}/_imgbuild"
    fish:  imgbuild completion fish > ~/.config/fish/completions/imgbuild.fish
    """
    from click.shell_completion import get_completion_class

    from builder.cli.group import imgbuild

    maker = get_completion_class(shell)
    assert maker is not None
    complete = maker(imgbuild, {}, "imgbuild", "_IMGBUILD_COMPLETE")
    # source() of bash also starts bash to learn its version; the script alone is the template.
    click.echo(complete.source_template % complete.source_vars())
