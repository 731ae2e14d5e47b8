"""Who has which path when packages, a base and a spec are merged."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import pytest

from builder.errors import ConflictError
from builder.layers.parts import Fragment
from builder.packages import Control, Identity
from builder.tree.entries import Entry
from builder.tree.flatten import flatten
from builder.tree.merge import SPEC, Merged, Tree, merge
from tests.makers.trees import dump, entry, fragment, may_replace, rebuilt

USR_MERGE = (("bin", "usr/bin"), ("lib", "usr/lib"))


def merged(
    *packages: Fragment, base: Tree[Identity, Control] | None = None
) -> Merged[Identity, Control]:
    return merge(may_replace, packages, base=base)


def lines(outcome: Merged[Identity, Control], *paths: str) -> dict[str, str]:
    """Return the dump of PATHS, or of everything but plain folders."""
    everything = dump(outcome.tree.entries, {entry("", f"file 0644 {t}").digest: t for t in "abc"})
    if paths:
        return {path: everything[path] for path in paths}
    return {path: line for path, line in everything.items() if line != "dir 0755"}


def conflict(*packages: Fragment, **arguments: object) -> str:
    """Return the whole text of the conflict that any order of PACKAGES ends in."""
    texts = set()
    for order in itertools.permutations(packages):
        with pytest.raises(ConflictError) as caught:
            merge(may_replace, order, **arguments)  # type: ignore[arg-type]  # a test's loose words
        texts.add(caught.value.render())
    (text,) = texts
    return text


def test_folders_of_several_packages_are_one() -> None:
    one, two = fragment("a", {"usr/bin/a": "file 0755 a"}), fragment("b", {"usr/bin/b": "file 0755 b"})
    outcome = merged(one, two)
    assert dump(outcome.tree.entries).keys() == {"usr", "usr/bin", "usr/bin/a", "usr/bin/b"}
    assert outcome.tree.owners == {"usr": "a", "usr/bin": "a", "usr/bin/a": "a", "usr/bin/b": "b"}
    assert not outcome.omissions


def test_a_folder_that_somebody_asks_something_of_wins_over_a_plain_one() -> None:
    plain, special = fragment("a", {"tmp/x": "file 0644 a"}), fragment("b", {"tmp": "dir 1777"})
    for order in ((plain, special), (special, plain)):
        outcome = merged(*order)
        assert lines(outcome, "tmp") == {"tmp": "dir 1777"}
        assert outcome.tree.owners["tmp"] == "b"


def test_of_two_special_folders_the_earlier_name_wins() -> None:
    outcome = merged(fragment("b", {"d": "dir 0700"}), fragment("a", {"d": "dir 2775 0:8"}))
    assert lines(outcome) == {"d": "dir 2775 0:8"}


def test_the_mtime_of_a_folder_is_no_part_of_the_tree() -> None:
    assert merged(fragment("a", {"d": "dir 0755"})).tree.entries["d"].mtime == 0


def test_folders_that_nobody_ships_are_implied() -> None:
    bare = fragment("a", {"usr/bin/x": "file 0644 a"})
    outcome = merged(rebuilt_without_folders(bare))
    assert dump(outcome.tree.entries)["usr/bin"] == "dir 0755"
    assert outcome.tree.owners["usr"] == "a"


def rebuilt_without_folders(built: Fragment) -> Fragment:
    return Fragment(
        identity=built.identity, control=built.control, directories=(), entries=built.entries,
        chunk=None, database=(), database_chunk=None, newest=0,
    )  # fmt: skip


def test_identical_files_are_one_whatever_their_mtime() -> None:
    one, two = fragment("a", {"x": "file 0644 a"}), fragment("b", {"x": "file 0644 a"}, mtime=5)
    for order in ((one, two), (two, one)):
        outcome = merged(*order)
        assert lines(outcome) == {"x": "file 0644 a"}
        assert outcome.omissions == {"b": frozenset({"x"})}
        assert outcome.tree.owners["x"] == "a"


def test_identical_is_asked_of_the_file_behind_a_hard_link() -> None:
    one = fragment("a", {"w": "file 0644 a", "x": "hard w"})
    two = fragment("b", {"x": "file 0644 a"})
    assert merged(one, two).omissions == {"b": frozenset({"x"})}


@pytest.mark.parametrize(
    ("left", "right", "how"),
    [
        ("file 0644 a", "file 0644 b", "with different contents"),
        ("file 0644 a", "file 0755 a", "with modes 0644 and 0755"),
        ("file 0644 1:2 a", "file 0644 a", "owned by 1:2 and 0:0"),
        ("link y", "link z", "links to y and z"),
        ("file 0644 a", "link z", "of different kinds"),
    ],
)
def test_two_packages_that_differ_at_a_path_are_a_conflict(left: str, right: str, how: str) -> None:
    assert conflict(fragment("a", {"usr/x": left}), fragment("b", {"usr/x": right})) == (
        f"error: package a 1 (amd64) and package b 1 (amd64) both have /usr/x, {how}, and neither"
        " replaces the other\n\nhint: leave one of the two out of the spec"
    )


def test_a_package_that_replaces_another_has_its_files() -> None:
    old = fragment("a", {"x": "file 0644 a", "y": "file 0644 a"})
    new = fragment("b", {"x": "file 0644 b"}, replaces=["a"])
    for order in ((old, new), (new, old)):
        outcome = merged(*order)
        assert lines(outcome) == {"x": "file 0644 b", "y": "file 0644 a"}
        assert outcome.omissions == {"a": frozenset({"x"})}
        assert outcome.tree.owners["x"] == "b"


def test_two_packages_that_replace_each_other_are_a_conflict() -> None:
    one = fragment("a", {"x": "file 0644 a"}, replaces=["b"])
    two = fragment("b", {"x": "file 0644 b"}, replaces=["a"])
    assert conflict(one, two) == (
        "error: package a 1 (amd64) and package b 1 (amd64) both have /x, with different contents,"
        " and each says it replaces the other\n\nhint: leave one of the two out of the spec"
    )


def test_who_wins_among_three_does_not_hang_on_the_order() -> None:
    packages = (
        fragment("a", {"x": "file 0644 a"}),
        fragment("b", {"x": "file 0644 b"}, replaces=["a", "c"]),
        fragment("c", {"x": "file 0644 c"}, replaces=["a"]),
    )
    for order in itertools.permutations(packages):
        outcome = merged(*order)
        assert lines(outcome) == {"x": "file 0644 b"}
        assert outcome.omissions == {"a": frozenset({"x"}), "c": frozenset({"x"})}


def test_a_ring_of_replacements_is_a_conflict() -> None:
    text = conflict(
        fragment("a", {"x": "file 0644 a"}, replaces=["b"]),
        fragment("b", {"x": "file 0644 b"}, replaces=["c"]),
        fragment("c", {"x": "file 0644 c"}, replaces=["a"]),
    )
    assert text.startswith("error: package a 1 (amd64) and package b 1 (amd64) both have /x")


def test_the_hard_links_of_a_file_taken_over_keep_the_file() -> None:
    old = fragment("a", {"v": "file 0644 a", "w": "hard v", "x": "hard v"})
    new = fragment("b", {"v": "file 0644 b"}, replaces=["a"])
    outcome = merged(old, new)
    assert lines(outcome) == {"v": "file 0644 b", "w": "file 0644 a", "x": "hard w"}
    again = merged(rebuilt(old, outcome.omissions["a"]), new)
    assert again.tree.entries == outcome.tree.entries
    assert not again.omissions


def test_a_file_where_another_has_a_folder_is_a_conflict() -> None:
    for lines_of_other in ({"x/y": "file 0644 b"}, {"x": "dir 0755"}):
        assert conflict(fragment("a", {"x": "file 0644 a"}), fragment("b", lines_of_other)) == (
            "error: package a 1 (amd64) has a file or link at /x, and package b 1 (amd64) a folder"
            "\n\nhint: leave one of the two out of the spec"
        )


def test_a_file_does_not_become_a_folder_because_somebody_replaces() -> None:
    assert "has a file or link at /x" in conflict(
        fragment("a", {"x": "file 0644 a"}, replaces=["b"]), fragment("b", {"x": "dir 0755"})
    )


# ---- links that stand for folders --------------------------------------------------------------


def test_what_lies_below_anothers_link_to_a_folder_must_move() -> None:
    link = fragment("a", {"usr/doc": "link share/doc", "usr/share/doc/a": "file 0644 a"})
    below = fragment("b", {"usr/doc/b/x": "file 0644 b", "usr/share/b": "hard usr/doc/b/x"})
    for order in ((link, below), (below, link)):
        outcome = merged(*order)
        assert outcome.moves == {"b": (("usr/doc", "usr/share/doc"),)}
        assert not outcome.tree.entries
    outcome = merged(link, rebuilt(below, moves=outcome.moves["b"]))
    assert not outcome.moves
    assert lines(outcome) == {
        "usr/doc": "link share/doc",
        "usr/share/doc/a": "file 0644 a",
        "usr/share/doc/b/x": "file 0644 b",
        "usr/share/b": "hard usr/share/doc/b/x",
    }


def test_an_empty_folder_must_make_way_for_a_link_to_a_folder_too() -> None:
    link = fragment("a", {"var/run": "link /run", "run/a": "file 0644 a"})
    assert merged(link, fragment("b", {"var/run": "dir 0755"})).moves == {"b": (("var/run", "run"),)}


def test_a_link_that_leads_to_no_folder_conflicts_with_a_folder() -> None:
    assert conflict(fragment("a", {"x": "link nowhere"}), fragment("b", {"x/y": "file 0644 b"})) == (
        "error: package a 1 (amd64) has a file or link at /x, and package b 1 (amd64) a folder\n\n"
        "hint: leave one of the two out of the spec"
    )


def test_links_to_the_same_folder_are_one() -> None:
    one = fragment("a", {"l": "link usr", "usr/a": "file 0644 a"})
    outcome = merged(one, fragment("b", {"l": "link /usr"}))
    assert lines(outcome, "l") == {"l": "link usr"}
    assert outcome.omissions == {"b": frozenset({"l"})}


def test_the_links_of_the_distribution_are_in_the_tree_with_their_folders() -> None:
    outcome = merge(may_replace, [fragment("a", {"usr/bin/a": "file 0644 a"})], links=USR_MERGE)
    assert lines(outcome) == {"bin": "link usr/bin", "lib": "link usr/lib", "usr/bin/a": "file 0644 a"}
    assert outcome.tree.entries["usr/lib"].is_directory
    assert outcome.tree.owners["bin"] == outcome.tree.owners["usr/lib"] == SPEC


def test_a_link_of_the_distribution_that_a_package_ships_is_the_packages() -> None:
    for target in ("usr/bin", "/usr/bin"):
        outcome = merge(
            may_replace, [fragment("base-files", {"bin": f"link {target}"})], links=USR_MERGE
        )
        assert lines(outcome, "bin") == {"bin": f"link {target}"}
        assert outcome.tree.owners["bin"] == "base-files"


def test_a_package_with_something_below_a_link_of_the_distribution_must_move() -> None:
    outcome = merge(may_replace, [fragment("a", {"bin/a": "file 0644 a"})], links=USR_MERGE)
    assert outcome.moves == {"a": (("bin", "usr/bin"),)}


def test_a_file_in_place_of_a_link_of_the_distribution_is_a_conflict() -> None:
    assert conflict(fragment("a", {"bin": "link sbin"}), links=USR_MERGE) == (
        "error: /bin of package a 1 (amd64) is not the link to "
        '"usr/bin" that the distribution says it is'
    )


# ---- the spec ----------------------------------------------------------------------------------


def spec(files: Mapping[str, str]) -> Sequence[Entry]:
    return [entry(path, line) for path, line in files.items()]


def test_the_spec_overrides_packages_and_they_are_built_as_ever() -> None:
    package = fragment("a", {"etc/motd": "file 0644 a", "srv": "dir 0755"})
    generated = spec({"etc/motd": "file 0600 b", "srv": "dir 0700 7:7"})
    outcome = merge(may_replace, [package], generated=generated)
    assert lines(outcome) == {
        "etc/motd": "file 0600 b",
        "srv": "dir 0700 7:7",
    }
    assert not outcome.omissions
    assert outcome.tree.owners == {"etc": "a", "etc/motd": SPEC, "srv": SPEC}


def test_local_files_win_over_generated_ones_and_later_over_earlier() -> None:
    local = fragment("@files", {"etc/x": "file 0644 c"})
    generated = [
        *spec({"etc/x": "file 0644 a", "etc/y": "file 0644 a"}),
        *spec({"etc/y": "file 0644 b"}),
    ]
    outcome = merge(may_replace, [], generated=generated, local=[local])
    assert lines(outcome) == {"etc/x": "file 0644 c", "etc/y": "file 0644 b"}
    assert outcome.tree.owners == {"etc": "@files", "etc/x": "@files", "etc/y": SPEC}


def test_a_file_of_the_spec_where_a_package_has_a_folder_is_a_conflict() -> None:
    text = conflict(fragment("a", {"x/y": "file 0644 a"}), generated=spec({"x": "file 0644 b"}))
    assert text == (
        "error: the spec has a file or link at /x, and package a 1 (amd64) a folder\n\n"
        "hint: choose another path in the spec"
    )


def test_a_file_of_the_spec_below_a_packages_file_is_a_conflict() -> None:
    text = conflict(fragment("a", {"x": "file 0644 a"}), generated=spec({"x/y": "file 0644 b"}))
    assert text == (
        "error: package a 1 (amd64) has a file or link at /x, and the spec a folder\n\n"
        "hint: choose another path in the spec"
    )


def test_files_of_the_spec_below_a_link_must_move() -> None:
    outcome = merge(may_replace, [], links=USR_MERGE, generated=spec({"bin/x": "file 0644 a"}))
    assert outcome.moves == {SPEC: (("bin", "usr/bin"),)}


# ---- a base ------------------------------------------------------------------------------------


def test_what_the_base_has_already_is_left_out_of_the_package() -> None:
    base = merged(fragment("a", {"etc/x": "file 0644 a"})).tree
    outcome = merged(fragment("b", {"etc/x": "file 0644 a", "etc/y": "file 0644 b"}), base=base)
    assert outcome.omissions == {"b": frozenset({"etc/x"})}
    assert outcome.tree.owners == {"etc": "a", "etc/x": "a", "etc/y": "b"}


def test_a_package_that_replaces_one_of_the_base_wins_by_lying_above_it() -> None:
    base = merged(fragment("a", {"x": "file 0644 a", "y": "hard x"})).tree
    outcome = merged(fragment("b", {"x": "file 0644 b"}, replaces=["a"]), base=base)
    assert lines(outcome) == {"x": "file 0644 b", "y": "file 0644 a"}
    assert not outcome.omissions


def test_of_the_hard_links_left_the_first_by_path_is_the_file_whatever_their_order() -> None:
    below = [entry("v", "file 0644 a"), entry("z", "hard v"), entry("y", "hard v")]
    for order in (below, [below[0], below[2], below[1]]):
        flat = flatten([order, [entry("v", "file 0644 b")]])
        assert (flat["y"].kind, flat["z"].target) == ("f", "y")


def test_a_package_of_the_base_that_replaces_one_above_keeps_its_file() -> None:
    base = merged(fragment("a", {"x": "file 0644 a"}, replaces=["b"])).tree
    outcome = merged(fragment("b", {"x": "file 0644 b"}), base=base)
    assert lines(outcome) == {"x": "file 0644 a"}
    assert outcome.omissions == {"b": frozenset({"x"})}


def test_what_the_bases_spec_says_stays_over_a_package() -> None:
    base = merge(may_replace, [], generated=spec({"etc/motd": "file 0644 a"})).tree
    outcome = merged(fragment("b", {"etc/motd": "file 0644 b"}), base=base)
    assert lines(outcome) == {"etc/motd": "file 0644 a"}
    assert outcome.omissions == {"b": frozenset({"etc/motd"})}


def test_a_package_and_one_of_the_base_that_differ_are_a_conflict() -> None:
    base = merged(fragment("a", {"x": "file 0644 a"})).tree
    assert conflict(fragment("b", {"x": "file 0644 b"}), base=base) == (
        "error: package a 1 (amd64) and package b 1 (amd64) both have /x, with different contents, and"
        " neither replaces the other\n\nhint: leave one of the two out of the spec"
    )


def test_a_folder_of_the_base_stays_where_a_package_has_a_link() -> None:
    base = merged(fragment("a", {"doc/x": "file 0644 a", "share/doc": "dir 0755"})).tree
    outcome = merged(fragment("b", {"doc": "link share/doc"}), base=base)
    assert lines(outcome) == {"doc/x": "file 0644 a"}
    assert outcome.omissions == {"b": frozenset({"doc"})}


def test_a_link_of_the_base_moves_what_a_package_has_below_it() -> None:
    base = merge(may_replace, [], links=USR_MERGE).tree
    assert merged(fragment("b", {"bin/x": "file 0644 b"}), base=base).moves == {
        "b": (("bin", "usr/bin"),)
    }


def test_a_file_of_the_base_conflicts_with_a_folder_above_it() -> None:
    base = merged(fragment("a", {"x": "file 0644 a"})).tree
    assert conflict(fragment("b", {"x/y": "file 0644 b"}), base=base).startswith(
        "error: package a 1 (amd64) has a file or link at /x, and package b 1 (amd64) a folder"
    )


def test_a_generated_file_that_the_base_has_already_is_the_bases() -> None:
    generated = spec({"etc/passwd": "file 0644 a"})
    base = merge(may_replace, [], generated=generated).tree
    again = [entry("etc/passwd", "file 0644 a", mtime=77)]
    assert merge(may_replace, [], base=base, generated=again).tree.entries == base.entries


def test_package_databases_are_in_the_tree_only_when_they_are_in_the_layers() -> None:
    package = fragment("a", {"x": "file 0644 a"}, database={"var/lib/dpkg/status.d/a": "file 0644 b"})
    with_them = merge(may_replace, [package])
    assert with_them.tree.owners["var/lib/dpkg/status.d/a"] == "a"
    assert "var" not in merge(may_replace, [package], has_databases=False).tree.entries
