"""The snapshot generator, driven from a dict: what it accepts, and each refusal with its whole text."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.digests import Digest
from builder.errors import TrustError
from builder.formats.deb.release import parse_date, parse_release
from builder.formats.deb.snapshot import snapshot
from builder.packages import Freshness, Snapshot, Source
from tests.simulators.archive import Archive, certificate, fingerprint, rfc_date, stanza

SOURCE = Source(
    repository="debian",
    location="main",
    suite="trixie",
    codenames=("trixie",),
    components=("main",),
    architectures=("amd64",),
)
WHERE = "debian dists/trixie/InRelease"


def published(
    change: Callable[[Archive], None] = lambda archive: None, suite: str = "trixie"
) -> Archive:
    archive = Archive(suite=suite)
    archive.add(stanza("hello"))
    change(archive)
    archive.publish()
    return archive


def take(
    archive: Archive,
    source: Source = SOURCE,
    *,
    keys: Sequence[str] = ("archive",),
    previous: int | None = None,
    accepts_expired: bool = False,
) -> Snapshot:
    freshness = Freshness(
        now=archive.date + 3600 if archive.date < 1 << 31 else 0,
        previous=previous,
        accepts_expired=accepts_expired,
    )
    conversation = snapshot(source, certificate(*keys), freshness)
    try:
        want = next(conversation)
        while True:
            content = archive.files.get(want.path)
            assert content is not None or want.optional, f"404 {want.path}"
            assert content is None or len(content) <= want.limit
            want = conversation.send(None if content is None else io.BytesIO(content))
    except StopIteration as stop:
        result: Snapshot = stop.value
        return result


def refused(archive: Archive, source: Source = SOURCE, **options: object) -> str:
    with pytest.raises(TrustError) as caught:
        take(archive, source, **options)  # type: ignore[arg-type]
    return caught.value.render().removeprefix(f"error: {WHERE}: ")


def test_a_signed_inline_release_is_taken_whole() -> None:
    archive = published()
    found = take(archive)
    packed = archive.files["dists/trixie/main/binary-amd64/Packages.xz"]
    assert (found.codename, found.origin, found.date) == ("trixie", "Example", archive.date)
    assert found.signers == (fingerprint("archive"),)
    [index] = found.indexes
    assert index.path == "dists/trixie/main/binary-amd64/Packages.xz"
    assert (index.size, index.digest) == (len(packed), Digest.of(packed))


def test_a_release_with_its_signature_apart_is_taken_where_there_is_no_inline_one() -> None:
    archive = published(lambda archive: setattr(archive, "has_inline", False))
    assert take(archive).digest == Digest.of(archive.files["dists/trixie/Release"])


def test_one_signature_of_a_known_key_is_enough() -> None:
    archive = published(lambda archive: setattr(archive, "keys", ("old", "archive")))
    assert take(archive, keys=("archive",)).signers == (fingerprint("archive"),)


def test_paths_are_by_hash_where_the_archive_offers_that() -> None:
    archive = published(lambda archive: setattr(archive, "has_by_hash", True))
    [index] = take(archive).indexes
    assert index.path == f"dists/trixie/main/binary-amd64/by-hash/SHA256/{index.digest.hex}"
    assert index.path in archive.files


@pytest.mark.parametrize("suffixes", [(".gz", ".xz", ""), (".zst", ".gz"), (".gz", ".bz2", ""), ("",)])
def test_the_form_of_a_list_that_is_read_soonest_is_chosen(suffixes: tuple[str, ...]) -> None:
    archive = published(lambda archive: setattr(archive, "suffixes", suffixes))
    order = [".zst", ".gz", ".xz", ".bz2", ""]
    [index] = take(archive).indexes
    assert index.path.endswith("Packages" + min(suffixes, key=order.index))


@pytest.mark.parametrize("suite", ["./", "stable/"])
def test_a_flat_repository_has_one_list_for_every_architecture(suite: str) -> None:
    archive = published(suite=suite)
    source = msgspec.structs.replace(
        SOURCE, suite=suite, components=(), codenames=(), architectures=("amd64", "arm64")
    )
    found = take(archive, source)
    assert [index.architecture for index in found.indexes] == ["amd64", "arm64"]
    assert {index.path for index in found.indexes} == {f"{suite.removeprefix('./')}Packages.xz"}


def test_packages_for_every_machine_have_their_own_list_where_the_release_says_so() -> None:
    def change(archive: Archive) -> None:
        archive.architectures = ("all", "amd64")

    assert [index.architecture for index in take(published(change)).indexes] == ["amd64", "all"]

    def change_back(archive: Archive) -> None:
        change(archive)
        archive.fields["No-Support-for-Architecture-all"] = "Packages"

    assert [index.architecture for index in take(published(change_back)).indexes] == ["amd64"]


def test_a_component_is_known_by_its_last_part_as_in_the_security_archives() -> None:
    archive = published(lambda archive: archive.fields.update(Components="updates/main updates/contrib"))
    assert [index.component for index in take(archive).indexes] == ["main"]


# ---- refusals ----------------------------------------------------------------------------------


def test_a_changed_word_is_refused() -> None:
    archive = published()
    archive.files["dists/trixie/InRelease"] = archive.files["dists/trixie/InRelease"].replace(
        b"Origin: Example", b"Origin: Exumple"
    )
    text = refused(archive)
    assert text.startswith("no signature holds: the signature of key ")
    assert text.endswith(" is not valid")


def test_an_unknown_key_is_refused() -> None:
    text = refused(published(), keys=("other",))
    assert text.startswith("no signature holds: key ")
    assert text.endswith(" is not in the keyring")


def test_a_known_key_that_may_not_sign_this_is_refused() -> None:
    source = msgspec.structs.replace(SOURCE, keys=(fingerprint("other"),))
    assert refused(published(), source, keys=("archive", "other")) == (
        f"no signature holds: key {fingerprint('archive')} is not one that may sign this"
    )


def test_an_unsigned_release_is_refused_unless_it_is_trusted_so() -> None:
    def change(archive: Archive) -> None:
        archive.has_inline = archive.has_detached = False

    archive = published(change)
    with pytest.raises(TrustError) as caught:
        take(archive)
    assert caught.value.render() == (
        "error: debian dists/trixie/Release: the release is not signed\n\n"
        'hint: a repository without signatures is used only with "trust: unsigned"'
    )
    source = msgspec.structs.replace(SOURCE, is_trusted_unsigned=True)
    assert take(archive, source).signers == ()
    assert take(published(), source, keys=()).signers == ()


def test_a_date_in_the_future_is_refused_and_small_skew_is_not() -> None:
    archive = published()
    archive.date += 3600 + 500
    archive.publish()
    archive.date -= 3600 + 500
    take(archive)
    archive.date += 3600 + 700
    archive.publish()
    shown = rfc_date(archive.date)
    archive.date -= 3600 + 700
    text = refused(archive)
    assert text.startswith("the release is dated 2")
    assert shown[17:22] in text
    assert " UTC, in the future\n\nhint: it is 2" in text
    assert text.endswith(" UTC here: is the clock right?")


def test_an_expired_release_is_refused_unless_that_is_accepted() -> None:
    archive = published(lambda archive: setattr(archive, "valid_until", archive.date + 60))
    text = refused(archive)
    assert text.startswith("the release expired on 2")
    assert text.endswith(
        " UTC\n\nhint: the mirror is out of date: "
        "try another one (--mirror), or a dated archive (snapshot:)"
    )
    assert take(archive, accepts_expired=True).valid_until == archive.valid_until


def test_a_release_older_than_the_locks_is_refused() -> None:
    archive = published()
    assert take(archive, previous=archive.date).date == archive.date
    text = refused(archive, previous=archive.date + 1)
    assert text.startswith("the release is of 2")
    assert ", older than the lock's of 2" in text
    assert text.endswith("hint: the mirror lags behind or was rolled back: try another one (--mirror)")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"Suite": "oldstable", "Codename": "bookworm"}, '"bookworm" or "oldstable", not "trixie"'),
        # Ubuntu's updates have the codename of their release
        ({"Suite": "trixie-updates"}, '"trixie-updates", not "trixie"'),
        ({"Suite": "", "Codename": ""}, 'nothing, not "trixie"'),
    ],
)
def test_another_suite_is_refused(fields: dict[str, str], message: str) -> None:
    assert refused(published(lambda archive: archive.fields.update(fields))) == (
        f"the release calls itself {message}\n\nhint: the mirror serves another suite under this name"
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"Date": ""}, "the release is malformed: it has no Date"),
        ({"Date": "yesterday"}, "the release is malformed: 'yesterday' is no date in UTC"),
        ({"SHA256": ""}, "the release is malformed: it has no SHA256 digests"),
        (
            {"SHA256": f"\n {'0' * 64} 1 ../../etc/passwd"},
            "the release is malformed: it lists '../../etc/passwd', which leaves the suite's folder",
        ),
        (
            {"SHA256": f"\n {'0' * 64} 1 /etc/passwd"},
            "the release is malformed: it lists '/etc/passwd', which leaves the suite's folder",
        ),
        ({"SHA256": "\n 00 1 a"}, "the release is malformed: its SHA256 section holds '00 1 a'"),
        (
            {"SHA256": f"\n {'0' * 64} 1 a\n {'1' * 64} 1 a"},
            "the release is malformed: it lists 'a' twice, with different digests",
        ),
        (
            {"SHA256": f"\n {'0' * 64} 1 a"},
            'the release lists no package list "main/binary-amd64/Packages"',
        ),
        (
            {"SHA256": f"\n {'0' * 64} 9999999999 main/binary-amd64/Packages.xz"},
            'the release says that "main/binary-amd64/Packages.xz" has 9999999999 bytes',
        ),
        (
            {"Components": "contrib non-free"},
            'the release has no component "main"\n\nhint: it has contrib, non-free',
        ),
        ({"Architectures": "arm64"}, 'the release has no architecture "amd64"\n\nhint: it has arm64'),
    ],
)
def test_a_release_that_does_not_hold_is_refused(fields: dict[str, str], message: str) -> None:
    assert refused(published(lambda archive: archive.fields.update(fields))) == message


def test_only_sha256_is_read() -> None:
    archive = published()
    archive.sign(archive.release({}) + f"MD5Sum:\n {'0' * 32} 1 main/binary-amd64/Packages\n")
    assert refused(archive) == "the release is malformed: it has no SHA256 digests"


# ---- laws --------------------------------------------------------------------------------------


@given(st.integers(0, 4_000_000_000))
def test_dates_are_read_as_they_are_written(seconds: int) -> None:
    assert parse_date(rfc_date(seconds)) == seconds


LINES = st.lists(
    st.one_of(
        st.sampled_from(
            [
                "Date: Sat, 11 Jul 2026 10:16:37 UTC",
                "SHA256:",
                " " + "0" * 64 + " 1 a",
                "Suite: x",
                "",
                " ",
            ]
        ),
        st.text(max_size=30),
    ),
    max_size=8,
)


@settings(max_examples=200)
@given(st.one_of(st.binary(max_size=200), LINES.map(lambda lines: "\n".join(lines).encode())))
def test_whatever_the_bytes_parsing_raises_nothing_but_trust_errors(content: bytes) -> None:
    try:
        parse_release(content, "x")
    except TrustError as error:
        assert str(error).startswith("x: the release is malformed: ")  # noqa: PT017
