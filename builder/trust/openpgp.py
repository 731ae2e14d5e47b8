"""OpenPGP signatures on text: what was signed, and whose signatures hold (RFC 9580 §7, §5.2).

`verify_clearsigned` takes one clear-signed block with nothing before or behind it and no armor
header but ``Hash:``; `verify_detached` takes content and signature apart. Both return the very
bytes that the signatures cover, and are content with one signature that holds, as apt is: an archive
signs with its old and its new key, and a keyring may know one of them only.

A signature holds when Sequoia verifies it under its standard policy (no MD5, SHA-1, RIPEMD-160, no
weak key; the certificate valid, not revoked and allowed to sign *when it signed*), and when besides,
since Sequoia asks only about that moment, certificate and subkey have not expired at NOW and carry no
revocation of any kind. The framing is parsed here and what Sequoia says was signed must be the same
bytes: two readers that disagree are an attack. Not checked: certifications of user ids; who is in the
keyring is trusted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import msgspec

from builder.errors import TrustError

if TYPE_CHECKING:
    from pysequoia import Cert
    from pysequoia.packet import Packet

_BEGIN = b"-----BEGIN PGP SIGNED MESSAGE-----"
_BEGIN_SIGNATURE = b"-----BEGIN PGP SIGNATURE-----"
_END_SIGNATURE = b"-----END PGP SIGNATURE-----"
_BEGIN_KEY = b"-----BEGIN PGP PUBLIC KEY BLOCK-----"
_END_KEY = b"-----END PGP PUBLIC KEY BLOCK-----"
_HASH_HEADER = re.compile(rb"Hash: [A-Za-z0-9-]+(?:, ?[A-Za-z0-9-]+)*")
_ARMOR_LINE = re.compile(rb"(?:[A-Za-z0-9+/]*={0,2}|=[A-Za-z0-9+/]{4}|(?:Version|Comment): [ -~]*)")
_SIGNATURE_LIMIT = 16


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes that are signed, and by whom.

    content  the signed bytes alone; of a clear-signed text without white space at line ends
    signers  fingerprints (upper-case hex) of the certificates whose signatures hold, sorted
    """

    content: bytes
    signers: tuple[str, ...]


def verify_clearsigned(
    data: bytes, keyring: bytes, *, now: int, what: str, keys: Sequence[str] = ()
) -> Verified:
    """Return the signed text of DATA, which is WHAT (a path or URL, for messages).

    KEYRING holds certificates, binary or armored; KEYS, unless empty, are the fingerprints (of a
    certificate or of a signing subkey) that one of the signatures must come from; NOW is in seconds
    since 1970. Raises `TrustError`.
    """
    content, armor = _unframe(data, what)
    certificates = _certificates(keyring, what)
    signers = _signers(content, armor, certificates, now=now, what=what, keys=keys)
    if _sequoia_content(data, certificates, what) != content:
        raise TrustError("two readings of the signed text differ", where=what)
    return Verified(content=content, signers=signers)


def verify_detached(
    content: bytes, signature: bytes, keyring: bytes, *, now: int, what: str, keys: Sequence[str] = ()
) -> Verified:
    """Return CONTENT if SIGNATURE (binary or armored, one or several) holds for it; see above."""
    certificates = _certificates(keyring, what)
    signers = _signers(content, signature, certificates, now=now, what=what, keys=keys)
    return Verified(content=content, signers=signers)


def unverified_text(data: bytes, *, what: str) -> bytes:
    """Return the text of a clear-signed block WITHOUT any check of who signed it.

    For ``trust: unsigned`` only. Raises `TrustError` where `verify_clearsigned` would for the framing.
    """
    return _unframe(data, what)[0]


# ---- framing -----------------------------------------------------------------------------------


def _unframe(data: bytes, what: str) -> tuple[bytes, bytes]:
    """Return the text that is signed and the armored signature (RFC 9580 §7.1, §7.2)."""
    if b"\0" in data:
        raise TrustError("signed text holds a NUL byte", where=what)
    lines = [line.rstrip(b" \t\r") for line in data.split(b"\n")]
    if lines[0] != _BEGIN:
        raise TrustError("does not begin with one signed block", where=what)
    body = _skip_headers(lines, what)
    if _BEGIN_SIGNATURE not in lines[body:]:
        raise TrustError("the signed block has no signature", where=what)
    signature = lines.index(_BEGIN_SIGNATURE, body)
    if _END_SIGNATURE not in lines[signature:]:
        raise TrustError("the signature has no end", where=what)
    end = lines.index(_END_SIGNATURE, signature)
    if any(lines[end + 1 :]):
        raise TrustError("something follows the signed block", where=what)
    if not all(map(_ARMOR_LINE.fullmatch, lines[signature + 1 : end])):
        raise TrustError("the signature holds a line that is no armor", where=what)
    content = b"\n".join([_unescape(line, what) for line in lines[body:signature]])
    return content, b"\n".join(lines[signature : end + 1]) + b"\n"


def _skip_headers(lines: list[bytes], what: str) -> int:
    for number, line in enumerate(lines[1:], 2):
        if not line:
            return number
        if not _HASH_HEADER.fullmatch(line):
            raise TrustError(
                f"the signed block has an armor header other than Hash: {line[:60]!r}", where=what
            )
    raise TrustError("the signed block has no text", where=what)


def _unescape(line: bytes, what: str) -> bytes:
    if not line.startswith(b"-"):
        return line
    if line.startswith(b"- "):
        return line[2:]
    if line == b"-":  # "- " with nothing behind: the white space is gone already
        return b""
    raise TrustError(f"the signed text has a dash that is not escaped: {line[:60]!r}", where=what)


# ---- signatures --------------------------------------------------------------------------------


def _certificates(keyring: bytes, what: str) -> list[Cert]:
    """Return the certificates of KEYRING: binary, armored, or armored blocks one after the other."""
    from pysequoia import Cert

    certificates: list[Cert] = []
    for block in _keyring_blocks(keyring):
        try:
            certificates += Cert.split_bytes(block)
        except RuntimeError as error:
            raise TrustError(f"the keyring is unreadable: {_first_line(error)}", where=what) from error
    if not certificates:
        raise TrustError("there is no key to check the signature with", where=what)
    return certificates


def _keyring_blocks(keyring: bytes) -> Iterable[bytes]:
    if _BEGIN_KEY not in keyring:
        return (keyring,) if keyring else ()
    return [
        _BEGIN_KEY + block.partition(_END_KEY)[0] + _END_KEY for block in keyring.split(_BEGIN_KEY)[1:]
    ]


def _signers(
    content: bytes,
    signature: bytes,
    certificates: list[Cert],
    *,
    now: int,
    what: str,
    keys: Sequence[str],
) -> tuple[str, ...]:
    """Return who signed CONTENT, or raise with what is wrong with each signature."""
    wanted = frozenset(key.replace(" ", "").upper() for key in keys)
    signers, faults = set(), []
    for packet in _packets(signature, what):
        try:
            signers.add(_signer(content, packet, certificates, wanted, now))
        except ValueError as error:
            faults.append(str(error))
    if not signers:
        raise TrustError(f"no signature holds: {'; '.join(faults)}", where=what)
    return tuple(sorted(signers))


def _packets(signature: bytes, what: str) -> list[Packet]:
    from pysequoia.packet import PacketPile, Tag

    try:
        packets = list(PacketPile.from_bytes(signature))
        # Reading the tag of a packet that Sequoia does not know raises too.
        is_other = any(packet.tag != Tag.Signature for packet in packets)
    except (RuntimeError, ValueError) as error:
        raise TrustError(f"the signature is unreadable: {_first_line(error)}", where=what) from error
    if is_other:
        raise TrustError("the signature holds something else beside signatures", where=what)
    if not 0 < len(packets) <= _SIGNATURE_LIMIT:
        raise TrustError(f"there are {len(packets)} signatures, not 1 to {_SIGNATURE_LIMIT}", where=what)
    return packets


def _signer(
    content: bytes, packet: Packet, certificates: list[Cert], wanted: frozenset[str], now: int
) -> str:
    """Return whose good signature PACKET is, a fingerprint; `ValueError` with what is wrong."""
    from pysequoia import Sig, verify
    from pysequoia.packet import HashAlgorithm

    issuer = (packet.issuer_fingerprint or packet.issuer_key_id or "unknown").upper()
    if packet.hash_algorithm in (HashAlgorithm.MD5, HashAlgorithm.SHA1, HashAlgorithm.RipeMD):
        raise ValueError(f"the signature of key {issuer} uses the weak hash {_hash_name(packet)}")
    try:
        found = verify(content, lambda _: certificates, signature=Sig.from_bytes(bytes(packet)))
    except RuntimeError as error:
        if not any(_knows(certificate, issuer) for certificate in certificates):
            raise ValueError(f"key {issuer} is not in the keyring") from error
        raise ValueError(f"the signature of key {issuer} is not valid") from error
    signature = found.valid_sigs[0]
    fingerprint, subkey = str(signature.certificate).upper(), str(signature.signing_key).upper()
    if wanted and not wanted & {fingerprint, subkey}:
        raise ValueError(f"key {fingerprint} is not one that may sign this")
    certificate = next(c for c in certificates if c.fingerprint.upper() == fingerprint)
    if fault := _fault(certificate, subkey, now):
        raise ValueError(f"key {fingerprint} {fault}")
    return fingerprint


def _hash_name(packet: Packet) -> str:
    return str(packet.hash_algorithm).rpartition(".")[2]


def _knows(certificate: Cert, issuer: str) -> bool:
    return any(
        issuer in ((packet.fingerprint or "").upper(), (packet.key_id or "").upper())
        for packet in _cert_packets(certificate)
    )


def _cert_packets(certificate: Cert) -> list[Packet]:
    from pysequoia.packet import PacketPile

    return list(PacketPile.from_bytes(bytes(certificate)))


def _fault(certificate: Cert, subkey: str, now: int) -> str:
    """Return why CERTIFICATE or its SUBKEY may not sign at NOW; "" if it may.

    Sequoia judges a signature by the moment it was made, so that a key that has expired since would
    do; an archive signs anew each day, and apt refuses such a key (EXPKEYSIG).
    """
    if certificate.is_revoked:
        return "is revoked"
    expiration = certificate.expiration
    if expiration is not None and expiration.timestamp() <= now:
        return f"expired on {expiration:%Y-%m-%d}"
    return _subkey_fault(certificate, subkey, now)


def _subkey_fault(certificate: Cert, subkey: str, now: int) -> str:
    from pysequoia.packet import SignatureType, Tag

    current, created, newest, expires = "", 0.0, 0.0, None
    for packet in _cert_packets(certificate):
        if packet.tag == Tag.PublicSubkey and packet.key_created:
            current, created = (packet.fingerprint or "").upper(), packet.key_created.timestamp()
        if current != subkey or packet.tag != Tag.Signature:
            continue
        if packet.signature_type == SignatureType.SubkeyRevocation:
            return f"has the revoked subkey {subkey}"
        made = packet.signature_created.timestamp() if packet.signature_created else 0.0
        # The newest binding decides (RFC 9580 §5.2.3.10).
        if packet.signature_type == SignatureType.SubkeyBinding and newest <= made:
            newest, period = made, packet.key_validity_period
            expires = created + period.total_seconds() if period else None
    if expires is not None and expires <= now:
        return f"has the subkey {subkey}, which expired"
    return ""


def _sequoia_content(data: bytes, certificates: list[Cert], what: str) -> bytes:
    """Return what Sequoia finds signed in the whole block."""
    from pysequoia import verify

    try:
        found = verify(data, lambda _: certificates)
    except RuntimeError as error:
        raise TrustError(f"no signature holds: {_first_line(error)}", where=what) from error
    return (found.bytes or b"").replace(b"\r\n", b"\n")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]
