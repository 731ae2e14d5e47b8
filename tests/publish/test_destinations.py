"""What ``-o`` may say."""

from __future__ import annotations

import pytest

from builder.errors import UsageError
from builder.publish.destinations import Destination, parse_destination, parse_destinations
from builder.publish.publish import check
from builder.publish.references import engine_name, full_reference

FORMS = "oci:DIR, oci-archive:FILE, docker-archive:FILE, rootfs:DIR, tar:FILE"


@pytest.mark.parametrize(
    ("text", "destination"),
    [
        ("oci:out", Destination("oci", "out")),
        ("oci-archive:a:b.tar", Destination("oci-archive", "a:b.tar")),
        ("tar:-", Destination("tar", "-")),
        ("rootfs:/", Destination("rootfs", "/")),
    ],
)
def test_kind_and_place_are_parted_at_the_first_colon(text: str, destination: Destination) -> None:
    assert parse_destination(text) == destination
    assert str(destination) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("out", f'error: -o: "out" is no destination\n\nhint: use one of {FORMS}'),
        ("docker:x", f'error: -o: "docker:x" is no destination\n\nhint: use one of {FORMS}'),
        ("tar:", 'error: -o: "tar:" names no place\n\nhint: write tar:FILE'),
        (
            "oci:-",
            (
                'error: -o: "oci:-" is a folder and cannot go to standard output\n\n'
                "hint: use oci-archive:- , docker-archive:- or tar:-"
            ),
        ),
    ],
)
def test_anything_else_is_told(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_destination(text)
    assert caught.value.render() == message


def test_two_destinations_of_one_place_are_told_and_repeats_are_one() -> None:
    assert len(parse_destinations(["oci:a", "tar:b", "oci:a"])) == 2
    with pytest.raises(UsageError) as caught:
        parse_destinations(["oci:a", "rootfs:a/"])
    assert caught.value.render() == 'error: -o: "oci:a" and "rootfs:a/" write to the same place'


@pytest.mark.parametrize("kind", ["docker-archive", "rootfs", "tar"])
def test_several_architectures_need_a_kind_that_holds_them(kind: str) -> None:
    with pytest.raises(UsageError) as caught:
        check(["amd64", "arm64"], Destination(kind, "x"))
    assert caught.value.render() == (
        f"error: {kind}:x: {kind} holds one architecture, the image has amd64, arm64\n\n"
        "hint: add --arch amd64 or --arch arm64"
    )
    check(["amd64", "arm64"], Destination("oci", "x"))


@pytest.mark.parametrize(
    ("reference", "full", "engine"),
    [
        ("app", "app:latest", "docker.io/library/app:latest"),
        ("team/app:1", "team/app:1", "docker.io/team/app:1"),
        ("localhost/app", "localhost/app:latest", "localhost/app:latest"),
        ("r.example.com:5000/app", "r.example.com:5000/app:latest", "r.example.com:5000/app:latest"),
    ],
)
def test_references_get_their_tag_and_host(reference: str, full: str, engine: str) -> None:
    assert full_reference(reference) == full
    assert engine_name(reference) == engine
