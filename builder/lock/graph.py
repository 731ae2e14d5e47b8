"""Who needs whom in one architecture of a lock: for ``why``, ``tree`` and pictures.

The edges are `LockedPackage.requested_by`; breadth-first search needs no library for graphs.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from builder.errors import LockError
from builder.lock.model import Lock, LockedPackage


class Graph(msgspec.Struct, frozen=True, kw_only=True):
    """The packages of one architecture and their edges, all sorted by name.

    roots    what the spec asks for
    needs    what each package needs of the others; ``needed_by`` the other way round
    """

    architecture: str
    packages: Mapping[str, LockedPackage]
    roots: tuple[str, ...]
    needs: Mapping[str, tuple[str, ...]]
    needed_by: Mapping[str, tuple[str, ...]]


class TreeNode(msgspec.Struct, frozen=True, kw_only=True):
    """A package and what it needs; ``is_repeat``: its needs are shown elsewhere in the tree."""

    name: str
    version: str
    is_repeat: bool = False
    children: tuple[TreeNode, ...] = ()


def graph(lock: Lock, architecture: str) -> Graph:
    """Return the graph of ARCHITECTURE; raises `LockError` if LOCK has none."""
    known = [item.architecture for item in lock.architectures]
    if architecture not in known:
        hint = f"it has {', '.join(known)}" if known else None
        raise LockError(f'the lock has no architecture "{architecture}"', hint=hint)
    packages = {package.name: package for package in lock.packages(architecture)}
    needs: dict[str, list[str]] = {name: [] for name in packages}
    for name, package in packages.items():
        for parent in package.requested_by:
            if parent in needs and parent != name:
                needs[parent].append(name)
    return Graph(
        architecture=architecture,
        packages=packages,
        roots=tuple(sorted(name for name, package in packages.items() if "" in package.requested_by)),
        needs={name: tuple(sorted(needed)) for name, needed in needs.items()},
        needed_by={
            name: tuple(sorted(parent for parent in package.requested_by if parent and parent != name))
            for name, package in packages.items()
        },
    )


def paths_to(lock: Lock, architecture: str, name: str) -> tuple[tuple[str, ...], ...]:
    """Return why NAME is in the image: for each that needs it, the shortest chain from the spec.

    A chain begins with what the spec asks for and ends with NAME; ``(NAME,)`` if the spec asks for
    it. Shortest first, then by name. Raises `LockError` if NAME is not in the lock.
    """
    edges = graph(lock, architecture)
    if name not in edges.packages:
        raise _not_there(edges, name)
    chains: list[tuple[str, ...]] = [(name,)] if name in edges.roots else []
    parents = _search(edges, without=name)
    needers = [needer for needer in edges.needed_by[name] if needer in parents]
    chains += [(*_chain(parents, needer), name) for needer in needers]
    return tuple(sorted(chains, key=lambda chain: (len(chain), chain)))


def tree(lock: Lock, architecture: str) -> tuple[TreeNode, ...]:
    """Return what the spec asks for, each with what it needs below it.

    A package is unfolded once, at its place nearest to the spec, and marked elsewhere; so the tree is
    as shallow as can be and has one edge a line.
    """
    edges = graph(lock, architecture)
    parents = _search(edges)
    made: dict[str, TreeNode] = {}
    # Children stand after their parents in the order of the search: made last to first, all are there.
    for name in reversed(parents):
        children = tuple(
            made[child] if parents[child] == name else _leaf(edges, child) for child in edges.needs[name]
        )
        made[name] = TreeNode(name=name, version=edges.packages[name].version, children=children)
    return tuple(made[root] for root in edges.roots)


def dot(lock: Lock, architecture: str) -> str:
    """Return the graph in the language of Graphviz; what the spec asks for is drawn as boxes."""
    edges = graph(lock, architecture)
    lines = [f"digraph {_quoted(architecture)} {{", "  node [shape=ellipse];"]
    lines += [f"  {_quoted(root)} [shape=box];" for root in edges.roots]
    lines += [f"  {_quoted(name)};" for name in edges.packages if name not in edges.roots]
    lines += [
        f"  {_quoted(name)} -> {_quoted(child)};"
        for name in edges.packages
        for child in edges.needs[name]
    ]
    return "\n".join([*lines, "}", ""])


def _search(edges: Graph, without: str | None = None) -> dict[str, str | None]:
    """Return the parent of each package on a shortest way from the spec, in the order they are found."""
    parents: dict[str, str | None] = {root: None for root in edges.roots if root != without}
    waiting = list(parents)
    for name in waiting:  # grows while it is walked: breadth first
        for child in edges.needs[name]:
            if child not in parents and child != without:
                parents[child] = name
                waiting.append(child)
    return parents


def _chain(parents: Mapping[str, str | None], name: str) -> tuple[str, ...]:
    chain = [name]
    while (parent := parents[chain[-1]]) is not None:
        chain.append(parent)
    return tuple(reversed(chain))


def _leaf(edges: Graph, name: str) -> TreeNode:
    # A package that needs nothing hides nothing: no mark.
    return TreeNode(name=name, version=edges.packages[name].version, is_repeat=bool(edges.needs[name]))


def _not_there(edges: Graph, name: str) -> LockError:
    from builder.spec.faults import near

    close = near(name, edges.packages)
    hint = f'did you mean "{close}"?' if close else "imgbuild tree shows all packages"
    return LockError(f'package "{name}" is not in the image for {edges.architecture}', hint=hint)


def _quoted(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
