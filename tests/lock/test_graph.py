"""Who needs whom: chains, trees and pictures."""

from __future__ import annotations

import itertools

import networkx as nx  # type: ignore[import-untyped]  # has no stubs
import pytest
from hypothesis import given, settings

from builder.errors import LockError
from builder.lock import Lock, LockedPackage
from builder.lock.graph import TreeNode, dot, graph, paths_to, tree
from tests.lock.test_file import lock, locks, package

#  spec ─ nginx ─ libssl ─┐
#    └─── curl ─ libcurl ─┴ libc ⇄ libgcc
_LOCK = lock(
    package("curl"),
    package("libc", by=("libcurl", "libgcc", "libssl")),
    package("libcurl", by=("curl",)),
    package("libgcc", by=("libc",)),
    package("libssl", by=("libcurl", "nginx")),
    package("nginx"),
)


def test_edges_go_both_ways() -> None:
    edges = graph(_LOCK, "amd64")
    assert edges.roots == ("curl", "nginx")
    assert edges.needs["libcurl"] == ("libc", "libssl")
    assert edges.needed_by["libc"] == ("libcurl", "libgcc", "libssl")


def test_there_is_a_shortest_chain_for_each_that_needs_it() -> None:
    assert paths_to(_LOCK, "amd64", "libc") == (
        ("curl", "libcurl", "libc"),
        ("nginx", "libssl", "libc"),
    )
    assert paths_to(_LOCK, "amd64", "nginx") == (("nginx",),)
    assert paths_to(_LOCK, "amd64", "libgcc") == (("curl", "libcurl", "libc", "libgcc"),)


def test_a_tree_unfolds_each_package_once_where_it_is_nearest() -> None:
    def node(name: str, *children: TreeNode, is_repeat: bool = False) -> TreeNode:
        return TreeNode(name=name, version="1", is_repeat=is_repeat, children=children)

    # libgcc needs libc, which needs libgcc: the circle ends where it would begin again.
    assert tree(
        lock(
            package("a"),
            package("libc", by=("a", "libgcc")),
            package("libgcc", by=("libc",)),
            package("z", by=("a",)),
        ),
        "amd64",
    ) == (
        node(
            "a",
            node("libc", node("libgcc", node("libc", is_repeat=True))),
            node("z"),
        ),
    )


def test_the_picture_is_text_for_graphviz() -> None:
    assert dot(lock(package("a+b"), package("c", by=("a+b",))), "amd64") == (
        'digraph "amd64" {\n  node [shape=ellipse];\n  "a+b" [shape=box];\n  "c";\n  "a+b" -> "c";\n}\n'
    )


def test_an_unknown_package_has_a_near_match() -> None:
    with pytest.raises(LockError) as caught:
        paths_to(_LOCK, "amd64", "ngnix")
    assert caught.value.render() == (
        'error: package "ngnix" is not in the image for amd64\n\nhint: did you mean "nginx"?'
    )
    with pytest.raises(LockError) as caught:
        paths_to(_LOCK, "amd64", "quux")
    assert caught.value.render() == (
        'error: package "quux" is not in the image for amd64\n\nhint: imgbuild tree shows all packages'
    )


def test_an_unknown_architecture_is_told_those_there_are() -> None:
    with pytest.raises(LockError) as caught:
        tree(_LOCK, "riscv64")
    assert caught.value.render() == 'error: the lock has no architecture "riscv64"\n\nhint: it has amd64'


def test_a_chain_of_thousands_needs_no_recursion() -> None:
    packages: list[LockedPackage] = [package("p00000")]
    packages += [package(f"p{n:05}", by=(f"p{n - 1:05}",)) for n in range(1, 5000)]
    (root,) = tree(lock(*packages), "amd64")
    depth = 1
    while root.children:
        root = root.children[0]
        depth += 1
    assert depth == 5000
    assert len(paths_to(lock(*packages), "amd64", "p04999")[0]) == 5000


@settings(max_examples=40)
@given(locks())
def test_chains_are_the_shortest_that_networkx_finds(some: Lock) -> None:
    for item in some.architectures:
        edges = graph(some, item.architecture)
        whole = nx.DiGraph()
        whole.add_nodes_from(["", *edges.packages])
        whole.add_edges_from(("", root) for root in edges.roots)
        whole.add_edges_from((a, b) for a, needs in edges.needs.items() for b in needs)
        for name in edges.packages:
            chains = paths_to(some, item.architecture, name)
            if not nx.has_path(whole, "", name):
                assert chains == ()
                continue
            assert len(chains[0]) == nx.shortest_path_length(whole, "", name)
            for chain in chains:
                assert chain.count(name) == 1
                assert chain[0] in edges.roots
                assert all(b in edges.needs[a] for a, b in itertools.pairwise(chain))


@settings(max_examples=40)
@given(locks())
def test_a_tree_shows_every_package_and_every_edge_once(some: Lock) -> None:
    for item in some.architectures:
        edges = graph(some, item.architecture)
        shown: list[tuple[str, str]] = []
        waiting = [("", node) for node in tree(some, item.architecture)]
        for parent, node in waiting:
            shown.append((parent, node.name))
            waiting += [(node.name, child) for child in node.children]
        names = {name for _, name in shown}
        expected = [("", root) for root in edges.roots]
        expected += [(a, b) for a in names for b in edges.needs[a]]
        assert sorted(shown) == sorted(expected)
