"""The layer plan stays; when it changes, and what a first plan looks like."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.layers.plan import HORIZON, Plan, _cut, change_rate, expected_download, plan

MB = 1_000_000
UNITS = st.dictionaries(
    st.sampled_from(["glibc", "openssl", "curl", "tzdata", *(f"u{number}" for number in range(25))]),
    st.integers(1, 90 * MB),
    min_size=1,
)
LAYERS = st.integers(2, 12)


def test_no_units_are_no_layers() -> None:
    assert plan({}, max_layers=20) == ()
    assert plan({}, (("gone",),), max_layers=20) == ()


def test_a_first_plan_parts_the_big_and_quiet_from_the_small_and_busy() -> None:
    units = {"llvm": 100 * MB, "gcc": 30 * MB, "zlib": 9000, "openssl": 2 * MB, "tzdata": 300_000}
    assert plan(units, max_layers=5) == (("llvm",), ("gcc",), ("openssl", "tzdata", "zlib"))


def test_few_units_have_a_layer_each() -> None:
    units = {"a": 30 * MB, "b": 20 * MB, "c": 10 * MB}
    assert plan(units, max_layers=20) == (("a",), ("b",), ("c",))


def test_units_too_small_for_a_request_of_their_own_share_a_layer() -> None:
    units = {f"u{number}": 20_000 for number in range(9)}
    assert plan(units, max_layers=20) == (tuple(sorted(units)),)
    assert plan({**units, "llvm": 90 * MB}, max_layers=20) == (("llvm",), tuple(sorted(units)))


def test_there_is_always_one_layer_for_packages() -> None:
    assert plan({"a": 3, "b": 2}, max_layers=1) == (("a", "b"),)
    assert plan({"a": 3, "b": 2}, max_layers=9, base_layers=30) == (("a", "b"),)


def test_a_new_unit_opens_a_tail_while_there_is_room_and_joins_it_then() -> None:
    units = {"a": 30 * MB, "b": 20 * MB}
    first = plan(units, max_layers=4)
    assert first == (("a",), ("b",))
    units["c"] = MB
    second = plan(units, first, max_layers=4)
    assert second == (("a",), ("b",), ("c",))
    assert plan({**units, "d": MB}, second, max_layers=4) == (("a",), ("b",), ("c", "d"))


def test_a_unit_that_vanishes_leaves_its_layer_and_an_empty_layer_vanishes() -> None:
    previous = (("a", "b"), ("c",), ("d",))
    assert plan({"b": 90 * MB, "d": 90 * MB}, previous, max_layers=4) == (("b",), ("d",))


def test_a_plan_is_made_anew_only_when_that_pays() -> None:
    units = {"llvm": 900 * MB, "openssl": 2 * MB, "x": MB, "y": MB}
    dear: Plan = (("llvm", "openssl"), ("x",), ("y",))
    assert plan(units, dear, max_layers=4) == dear
    assert plan({**units, "z": 9}, dear, max_layers=4) == (("llvm",), ("openssl", "x", "y", "z"))
    cheap: Plan = (("llvm",), ("x",), ("openssl", "y"))
    assert plan({**units, "z": 9}, cheap, max_layers=4) == (("llvm",), ("x",), ("openssl", "y", "z"))


def test_a_plan_with_more_layers_than_there_may_be_is_made_anew() -> None:
    previous: Plan = (("a",), ("b",), ("c",))
    assert plan({"a": 9, "b": 5, "c": 1}, previous, max_layers=3) == plan(
        {"a": 9, "b": 5, "c": 1}, max_layers=3
    )


@settings(deadline=None, max_examples=60, derandomize=True)
@given(UNITS, LAYERS)
def test_every_unit_is_in_one_layer_and_there_are_never_too_many(
    units: dict[str, int], layers: int
) -> None:
    made = plan(units, max_layers=layers)
    assert sorted(itertools.chain.from_iterable(made)) == sorted(units)
    assert all(made)
    assert len(made) <= max(1, layers - 1)
    assert all(layer == tuple(sorted(layer)) for layer in made)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(UNITS, LAYERS, st.data())
def test_the_same_units_have_the_same_plan_whatever_their_sizes(
    units: dict[str, int], layers: int, data: st.DataObject
) -> None:
    first = plan(units, max_layers=layers)
    resized = {name: data.draw(st.integers(0, 900 * MB)) for name in units}
    assert plan(resized, first, max_layers=layers) == first


@settings(deadline=None, max_examples=60, derandomize=True)
@given(UNITS, LAYERS, st.sampled_from(["new", "openjdk-21"]), st.integers(1, 90 * MB))
def test_a_new_unit_changes_only_the_tail_or_pays_for_more(
    units: dict[str, int], layers: int, name: str, size: int
) -> None:
    first = plan(units, max_layers=layers)
    now = {**units, name: size}
    second = plan(now, first, max_layers=layers)
    tail = second[-1]
    if name in tail and second[: len(second) - 1] == first[: len(second) - 1]:
        assert len(second) in (len(first), len(first) + 1)
        return
    kept = (*first[:-1], tuple(sorted((*first[-1], name))))
    pulled = sum(now[n] for layer in second if layer not in first for n in layer)
    pulled_kept = sum(now[n] for n in kept[-1])
    assert pulled + HORIZON * expected_download(second, now) < pulled_kept + HORIZON * expected_download(
        kept, now
    )


@settings(deadline=None, max_examples=60, derandomize=True)
@given(UNITS, LAYERS)
def test_what_is_left_of_a_plan_stays_where_it_was(units: dict[str, int], layers: int) -> None:
    first = plan(units, max_layers=layers)
    some = dict(list(units.items())[::2])
    second = plan(some, first, max_layers=layers)
    where = {name: number for number, layer in enumerate(first) for name in layer}
    for layer in second:
        assert len({where[name] for name in layer}) == 1 or second == plan(some, max_layers=layers)


@given(
    st.lists(st.tuples(st.integers(1, 99), st.sampled_from([1, 3])), min_size=1, max_size=8),
    st.integers(1, 5),
)
@settings(deadline=None, max_examples=60, derandomize=True)
def test_the_cuts_are_the_best_there_are(row: list[tuple[int, int]], parts: int) -> None:
    sizes, rates = [size for size, _ in row], [float(rate) for _, rate in row]

    def cost(cuts: list[int]) -> float:
        return sum(sum(sizes[a:b]) * sum(rates[a:b]) for a, b in itertools.pairwise(cuts))

    parts = min(parts, len(row))
    best = min(
        cost([0, *inner, len(row)]) for inner in itertools.combinations(range(1, len(row)), parts - 1)
    )
    assert cost(_cut(sizes, rates, parts)) == pytest.approx(best)


def test_busy_sources_are_told_by_name_or_prefix() -> None:
    assert change_rate("php8.2") == change_rate("openssl") > change_rate("zlib")
    assert change_rate("openssl-extra") == change_rate("zlib")
