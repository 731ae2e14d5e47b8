"""A whole signed Debian archive in memory: a dict from path to bytes, changed by plain assignment.

    archive = Archive(suite="trixie")
    archive.add(make_deb("hello", "1.0"))              # a .deb, or fields for a stanza without one
    archive.publish()
    archive.files["dists/trixie/InRelease"]            # bytes, signed with a real key
    archive.valid_until = archive.date - 1             # then publish() again: expired
    with WebServer(archive.files) as server: …

What it publishes follows its attributes; what a mirror may do to it afterwards is done to ``files``.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache

import pysequoia
import zstandard

_PACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".xz": lambda data: lzma.compress(data, preset=1),
    ".gz": lambda data: gzip.compress(data, mtime=0),
    ".bz2": bz2.compress,
    ".zst": lambda data: zstandard.ZstdCompressor().compress(data),
    "": lambda data: data,
}


@cache
def key(name: str) -> pysequoia.Tsk:
    """Return the secret key called NAME, the same one each time within a run."""
    return pysequoia.Tsk.generate(f"{name} <{name}@example.com>")


def certificate(*names: str) -> bytes:
    """Return the public keys of NAMES, binary, as a keyring."""
    return b"".join(bytes(key(name).extract_certificate()) for name in names)


def fingerprint(name: str) -> str:
    """Return the fingerprint of the key NAME in upper case."""
    return key(name).extract_certificate().fingerprint.upper()


def clearsign(text: str, *names: str) -> bytes:
    """Return TEXT clear-signed by each of the keys NAMES, in one block."""
    mode = pysequoia.SignatureMode.CLEAR
    blocks = [pysequoia.sign(key(name).signer(), text.encode(), mode=mode) for name in names]
    begin = b"-----BEGIN PGP SIGNATURE-----"
    packets = b"".join(
        bytes(packet)
        for block in blocks
        for packet in pysequoia.packet.PacketPile.from_bytes(block[block.index(begin) :])
    )
    armor = pysequoia.armor(packets, pysequoia.ArmorKind.Signature)
    return blocks[0][: blocks[0].index(begin)] + armor.encode()


def detach(content: bytes, *names: str) -> bytes:
    """Return armored detached signatures of CONTENT by each of the keys NAMES."""
    mode = pysequoia.SignatureMode.DETACHED
    signatures = [pysequoia.sign(key(name).signer(), content, mode=mode, armor=False) for name in names]
    return pysequoia.armor(b"".join(signatures), pysequoia.ArmorKind.Signature).encode()


def rfc_date(seconds: int) -> str:
    """Return SECONDS since 1970 as a Release file writes them."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%a, %d %b %Y %H:%M:%S UTC")


def stanza(
    name: str, version: str = "1.0", architecture: str = "amd64", **fields: str
) -> dict[str, str]:
    """Return a stanza for a package that has no file; an underscore in FIELDS stands for a dash."""
    given = {word.replace("_", "-"): value for word, value in fields.items()}
    return {
        "Package": name,
        "Version": version,
        "Architecture": architecture,
        "Filename": f"pool/main/{name[0]}/{name}/{name}_{version}_{architecture}.deb",
        "Size": "1000",
        "SHA256": hashlib.sha256(f"{name} {version} {architecture}".encode()).hexdigest(),
    } | given


class Archive:
    """One suite of an archive; flat if SUITE ends in "/". Several may share ``files`` by assignment."""

    def __init__(
        self,
        *,
        suite: str = "trixie",
        architectures: Sequence[str] = ("amd64",),
        components: Sequence[str] = ("main",),
        keys: Sequence[str] = ("archive",),
    ) -> None:
        self.suite = suite
        self.codename = suite.rstrip("/")
        self.architectures = tuple(architectures)
        self.components = tuple(components)
        self.keys = tuple(keys)
        self.date = int(time.time()) - 3600
        self.valid_until: int | None = None
        self.suffixes: tuple[str, ...] = (".xz",)
        self.has_by_hash = False
        self.has_inline = True
        self.has_detached = True
        self.fields: dict[str, str] = {}  # of the release; "" leaves one out
        self.packages: list[tuple[str, dict[str, str]]] = []
        self.files: dict[str, bytes] = {}

    def add(self, package: bytes | Mapping[str, str], *, component: str = "main") -> dict[str, str]:
        """Add a .deb (its file goes to the pool) or the fields of a stanza; return all its fields."""
        if isinstance(package, bytes):
            fields = _deb_fields(package)
            self.files[fields["Filename"]] = package
        else:
            fields = dict(package)
        self.packages.append((component, fields))
        return fields

    @property
    def base(self) -> str:
        """The suite's folder, with a slash at its end unless it is the root."""
        if self.suite.endswith("/"):
            return self.suite.removeprefix("./")
        return f"dists/{self.suite}/"

    def lists(self) -> dict[str, str]:
        """Return the text of each package list by its path below the suite's folder."""
        if self.suite.endswith("/"):
            return {"Packages": _text(fields for _, fields in self.packages)}
        return {
            f"{component}/binary-{architecture}/Packages": _text(
                fields
                for place, fields in self.packages
                if place == component and fields["Architecture"] in (architecture, "all")
            )
            for component in self.components
            for architecture in self.architectures
        }

    def release(self, digests: Mapping[str, tuple[str, int]]) -> str:
        """Return the text of the Release file that lists DIGESTS."""
        fields = {
            "Origin": "Example",
            "Suite": self.codename,
            "Codename": self.codename,
            "Date": rfc_date(self.date),
            "Architectures": " ".join(self.architectures),
            "Components": " ".join(self.components),
        }
        if self.valid_until is not None:
            fields["Valid-Until"] = rfc_date(self.valid_until)
        if self.has_by_hash:
            fields["Acquire-By-Hash"] = "yes"
        lines = [f" {digest} {size} {path}" for path, (digest, size) in sorted(digests.items())]
        fields["SHA256"] = "\n".join(["", *lines])
        fields |= self.fields
        return "".join(f"{name}: {value}\n" for name, value in fields.items() if value)

    def publish(self) -> None:
        """Write lists and release into ``files``, in place of what was published before."""
        for path in [path for path in self.files if not path.endswith(".deb")]:
            del self.files[path]
        digests: dict[str, tuple[str, int]] = {}
        for path, text in self.lists().items():
            for suffix in self.suffixes:
                content = _PACKERS[suffix](text.encode())
                digest = hashlib.sha256(content).hexdigest()
                digests[path + suffix] = (digest, len(content))
                folder = path.removesuffix("Packages")
                place = f"{folder}by-hash/SHA256/{digest}" if self.has_by_hash else path + suffix
                self.files[self.base + place] = content
        self.sign(self.release(digests))

    def sign(self, text: str) -> None:
        """Publish TEXT as the release, signed."""
        if self.has_inline:
            self.files[f"{self.base}InRelease"] = clearsign(text, *self.keys)
        self.files[f"{self.base}Release"] = text.encode()
        if self.has_detached:
            self.files[f"{self.base}Release.gpg"] = detach(text.encode(), *self.keys)


def _text(packages: object) -> str:
    assert hasattr(packages, "__iter__")
    return "".join(
        "".join(f"{name}: {value}\n" for name, value in fields.items()) + "\n" for fields in packages
    )


def _deb_fields(deb: bytes) -> dict[str, str]:
    """Return the stanza of a .deb: its control fields, where it is, and what it weighs."""
    fields: dict[str, str] = {}
    for line in _control(deb).rstrip("\n").split("\n"):
        if line[:1] in " \t":
            fields[next(reversed(fields))] += "\n" + line
        else:
            name, _, value = line.partition(":")
            fields[name] = value.strip()
    name, version = fields["Package"], fields["Version"]
    file = f"{name}_{version.partition(':')[2] or version}_{fields['Architecture']}.deb"
    return fields | {
        "Filename": f"pool/main/{name[0]}/{fields.get('Source', name).partition(' ')[0]}/{file}",
        "Size": str(len(deb)),
        "SHA256": hashlib.sha256(deb).hexdigest(),
    }


def _control(deb: bytes) -> str:
    """Return the text of ./control in DEB (ar members of 60-byte headers, deb(5))."""
    import tarfile

    position = 8
    while position < len(deb):
        name = deb[position : position + 16].rstrip(b" /").decode()
        size = int(deb[position + 48 : position + 58])
        content = deb[position + 60 : position + 60 + size]
        if name.startswith("control.tar"):
            if name.endswith(".zst"):
                content = zstandard.ZstdDecompressor().decompressobj().decompress(content)
            with tarfile.open(fileobj=io.BytesIO(content)) as tar:
                member = next(m for m in tar.getmembers() if m.name.lstrip("./") == "control")
                file = tar.extractfile(member)
                assert file is not None
                return file.read().decode()
        position += 60 + size + size % 2
    raise AssertionError("no control part")
