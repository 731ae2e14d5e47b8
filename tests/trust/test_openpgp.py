"""Signatures: framing, keys, expiry, revocation; each refusal with its text."""

from __future__ import annotations

import time
from contextlib import suppress

import pysequoia
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.errors import TrustError
from builder.trust.openpgp import verify_clearsigned, verify_detached
from tests.simulators.archive import certificate, clearsign, detach, fingerprint, key

TEXT = "Origin: Example\n- a dash\nFrom somewhere\n-----BEGIN PGP SIGNED MESSAGE-----\nlast"
NOW = int(time.time())


def verify(
    data: bytes, keyring: bytes | None = None, *, now: int = NOW
) -> tuple[bytes, tuple[str, ...]]:
    ring = certificate("archive") if keyring is None else keyring
    found = verify_clearsigned(data, ring, now=now, what="InRelease")
    return found.content, found.signers


def refusal(data: bytes, keyring: bytes | None = None, *, now: int = NOW) -> str:
    with pytest.raises(TrustError) as caught:
        verify(data, keyring, now=now)
    return str(caught.value)


def test_the_signed_bytes_alone_come_back_with_dashes_unescaped() -> None:
    assert verify(clearsign(TEXT, "archive")) == (TEXT.encode(), (fingerprint("archive"),))


def test_all_who_signed_are_named_sorted() -> None:
    data = clearsign(TEXT, "archive", "old")
    assert verify(data, certificate("archive", "old"))[1] == tuple(
        sorted((fingerprint("archive"), fingerprint("old")))
    )


def test_a_keyring_may_be_armored_and_hold_several() -> None:
    armored = "".join(str(key(name).extract_certificate()) for name in ("old", "archive")).encode()
    assert verify(clearsign(TEXT, "archive"), armored)[1] == (fingerprint("archive"),)


@pytest.mark.parametrize("ending", [b"", b"\n", b"\n\n"])
def test_newlines_may_follow_the_block(ending: bytes) -> None:
    assert verify(clearsign(TEXT, "archive").rstrip(b"\n") + ending)[0] == TEXT.encode()


SIGNED = clearsign(TEXT, "archive")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "does not begin with one signed block"),
        (b"Origin: Evil\n" + SIGNED, "does not begin with one signed block"),
        (b"\n" + SIGNED, "does not begin with one signed block"),
        (SIGNED + b"Origin: Evil\n", "something follows the signed block"),
        (SIGNED + SIGNED, "something follows the signed block"),
        (
            SIGNED.replace(b"Hash: SHA512\n", b"Hash: SHA512\nComment: x\n"),
            "the signed block has an armor header other than Hash: b'Comment: x'",
        ),
        (
            SIGNED.replace(b"Hash: SHA512\n", b"Hash: SHA512\nOrigin: Evil\n"),
            "the signed block has an armor header other than Hash: b'Origin: Evil'",
        ),
        (
            SIGNED.replace(b"- -----BEGIN", b"-----BEGIN"),
            "the signed text has a dash that is not escaped: b'-----BEGIN PGP SIGNED MESSAGE-----'",
        ),
        (SIGNED.replace(b"last", b"la\0st"), "signed text holds a NUL byte"),
        (SIGNED.partition(b"-----BEGIN PGP SIGNATURE")[0], "the signed block has no signature"),
        (SIGNED.partition(b"-----END PGP SIGNATURE")[0], "the signature has no end"),
        (
            SIGNED.replace(b"-----END PGP SIGNATURE", b"Origin: Evil\n-----END PGP SIGNATURE"),
            "the signature holds a line that is no armor",
        ),
        (b"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256", "the signed block has no text"),
    ],
)
def test_framing_that_is_not_one_block_is_refused(data: bytes, message: str) -> None:
    assert refusal(data) == f"InRelease: {message}"


def test_an_empty_keyring_is_refused() -> None:
    assert refusal(SIGNED, b"") == "InRelease: there is no key to check the signature with"


def test_a_damaged_keyring_is_refused() -> None:
    assert refusal(SIGNED, b"nonsense").startswith("InRelease: the keyring is unreadable: ")


def test_a_key_that_has_expired_since_it_signed_is_refused() -> None:
    tsk = pysequoia.Tsk.generate("short <short@example.com>", validity_seconds=5000)
    public = tsk.extract_certificate()
    data = pysequoia.sign(tsk.signer(), TEXT.encode(), mode=pysequoia.SignatureMode.CLEAR)
    assert verify(data, bytes(public))[1] == (public.fingerprint.upper(),)
    assert public.expiration is not None
    assert refusal(data, bytes(public), now=NOW + 6000) == (
        f"InRelease: no signature holds: key {public.fingerprint.upper()} "
        f"expired on {public.expiration:%Y-%m-%d}"
    )


def test_a_revoked_key_is_refused() -> None:
    tsk = pysequoia.Tsk.generate("gone <gone@example.com>")
    public = tsk.extract_certificate()
    data = pysequoia.sign(tsk.signer(), TEXT.encode(), mode=pysequoia.SignatureMode.CLEAR)
    revoked = bytes(public) + bytes(public.revoke(tsk.certifier()))
    assert "no signature holds" in refusal(data, revoked)


def test_one_good_signature_beside_one_of_a_revoked_key_is_enough() -> None:
    data = clearsign(TEXT, "archive", "old")
    public = key("old").extract_certificate()
    revoked = bytes(public) + bytes(public.revoke(key("old").certifier()))
    assert verify(data, revoked + certificate("archive"))[1] == (fingerprint("archive"),)


def test_a_weak_hash_is_refused() -> None:
    # The hash algorithm of a v4 signature is its fourth octet (RFC 9580 §5.2.3): say SHA-1 (2).
    packet = next(iter(pysequoia.packet.PacketPile.from_bytes(detach(b"x", "archive"))))
    raw = bytearray(bytes(packet))
    raw[len(raw) - len(packet.body) + 3] = 2
    with pytest.raises(TrustError) as caught:
        verify_detached(b"x", bytes(raw), certificate("archive"), now=NOW, what="Release.gpg")
    assert str(caught.value).startswith("Release.gpg: no signature holds: the signature of key ")
    assert str(caught.value).endswith(" uses the weak hash SHA1")


def test_a_detached_signature_holds_for_its_bytes_alone() -> None:
    signature = detach(b"text\n", "archive", "old")
    found = verify_detached(b"text\n", signature, certificate("old"), now=NOW, what="Release")
    assert found.signers == (fingerprint("old"),)
    with pytest.raises(TrustError, match="no signature holds"):
        verify_detached(b"text", signature, certificate("old"), now=NOW, what="Release")


@pytest.mark.parametrize("signature", [b"", b"garbage", b"-----BEGIN PGP SIGNATURE-----\n"])
def test_what_is_no_signature_is_refused(signature: bytes) -> None:
    with pytest.raises(TrustError, match="signature"):
        verify_detached(b"x", signature, certificate("archive"), now=NOW, what="Release")


def test_keys_are_no_signature() -> None:
    with pytest.raises(TrustError) as caught:
        verify_detached(b"x", certificate("archive"), certificate("archive"), now=NOW, what="Release")
    assert str(caught.value) == "Release: the signature holds something else beside signatures"


@settings(max_examples=60, deadline=None)
@given(st.text("ab -\n\t\rFrom", max_size=60))
def test_whatever_the_text_what_comes_back_was_signed(text: str) -> None:
    lines = [line.rstrip(" \t\r") for line in text.replace("\r", "").split("\n")]
    assert verify(clearsign(text.replace("\r", ""), "archive"))[0] == "\n".join(lines).encode()


@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(SIGNED) - 1), st.binary(min_size=1, max_size=3))
def test_a_changed_block_is_the_same_text_or_refused(place: int, change: bytes) -> None:
    data = SIGNED[:place] + change + SIGNED[place + len(change) :]
    with suppress(TrustError):
        assert verify(data)[0] == TEXT.encode()
