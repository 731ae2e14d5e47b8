"""``imgbuild tree SPEC``: packages of a lock below what asked for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from builder.lock.graph import TreeNode


@click.command("tree")
@click.argument("spec", type=click.Path(dir_okay=False))
@click.option("--arch", "architecture", help="Architecture of the lock (default: its first).")
@click.option("--dot", "as_dot", is_flag=True, help="Print the graph for Graphviz (dot -Tsvg).")
@click.option("--json", "as_json", is_flag=True, help="Print the tree as JSON.")
def command(spec: str, architecture: str | None, as_dot: bool, as_json: bool) -> None:
    """Show the packages of SPEC's lock, each below what needs it.

    A package is unfolded once, nearest to the spec; elsewhere it is marked (*). SPEC may also be a
    lock file.
    """
    from builder.cli.locks import choose_architecture, read_named_lock
    from builder.lock.graph import dot, tree

    lock = read_named_lock(spec)
    chosen = choose_architecture(lock, architecture)
    if as_dot:
        click.echo(dot(lock, chosen), nl=False)
    elif as_json:
        import json

        import msgspec

        click.echo(json.dumps(msgspec.to_builtins(tree(lock, chosen)), indent=2))
    else:
        for root in tree(lock, chosen):
            click.echo("\n".join([_label(root), *_lines(root.children)]))


def _lines(nodes: Sequence[TreeNode], indent: str = "") -> Iterator[str]:
    """Yield the lines of NODES. Depth is not bounded by the interpreter's stack."""
    waiting = [(node, indent, node is nodes[-1]) for node in reversed(nodes)]
    while waiting:
        node, before, is_last = waiting.pop()
        yield f"{before}{'└── ' if is_last else '├── '}{_label(node)}"
        below = before + ("    " if is_last else "│   ")
        waiting += [(child, below, child is node.children[-1]) for child in reversed(node.children)]


def _label(node: TreeNode) -> str:
    return f"{node.name} {node.version}{' (*)' if node.is_repeat else ''}"
