"""What scripts would have made, held against the scripts themselves."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from builder.effects.accounts import MASTERS, build_accounts
from builder.effects.native import native_effects, native_reads
from builder.tree.entries import DIRECTORY, FILE, SYMLINK, Entry, NewFile

MOZILLA = "usr/share/ca-certificates/mozilla"
CERTIFICATES = {
    f"{MOZILLA}/B_Root.crt": b"-----BEGIN B-----\n",
    f"{MOZILLA}/a_root.crt": b"no line feed at the end",
    f"{MOZILLA}/C (x), y.crt": b"C\n",
    "usr/local/share/ca-certificates/own.crt": b"own\n",
}


def effects(contents: Mapping[str, bytes], *more: Entry) -> dict[str, NewFile]:
    entries = {path: Entry(path, FILE, 0o644, size=len(text)) for path, text in contents.items()}
    entries |= {entry.path: entry for entry in more}
    reads = native_reads(entries)
    made = native_effects(entries, {path: contents[path] for path in reads}.get, build_accounts(None))
    assert [file.entry.path for file in made] == sorted({file.entry.path for file in made})
    return {file.entry.path: file for file in made}


def test_an_image_without_known_packages_gets_nothing() -> None:
    assert effects({"usr/bin/true": b""}) == {}
    assert effects({"usr/local/share/ca-certificates/own.crt": b"own\n"}) == {}


def test_certificates_are_joined_in_byte_order_with_the_local_ones_last() -> None:
    made = effects(CERTIFICATES)
    assert made["etc/ssl/certs/ca-certificates.crt"].content == (
        b"-----BEGIN B-----\nC\nno line feed at the end\nown\n"
    )
    links = {path: f.entry.target for path, f in made.items() if f.entry.kind == SYMLINK}
    assert links == {
        "etc/ssl/certs/B_Root.pem": f"/{MOZILLA}/B_Root.crt",
        "etc/ssl/certs/C_=x=__y.pem": f"/{MOZILLA}/C (x), y.crt",
        "etc/ssl/certs/a_root.pem": f"/{MOZILLA}/a_root.crt",
        "etc/ssl/certs/own.pem": "/usr/local/share/ca-certificates/own.crt",
    }
    assert made["etc/ca-certificates.conf"].content.endswith(
        b"#\nmozilla/B_Root.crt\nmozilla/C (x), y.crt\nmozilla/a_root.crt\n"
    )


def test_a_bundle_that_is_there_is_kept() -> None:
    assert effects({**CERTIFICATES, "etc/ssl/certs/ca-certificates.crt": b"mine"}) == {}


def test_the_zone_is_utc_unless_one_is_there() -> None:
    zone = {"usr/share/zoneinfo/Etc/UTC": b"TZif"}
    made = effects(zone)
    assert made["etc/localtime"].entry.target == "/usr/share/zoneinfo/Etc/UTC"
    assert made["etc/timezone"].content == b"Etc/UTC\n"
    assert "etc/localtime" not in effects(zone, Entry("etc/localtime", SYMLINK, 0o777, target="x"))


def read_tree(root: Path) -> tuple[dict[str, Entry], dict[str, bytes]]:
    """The entries and contents of an unpacked package."""
    entries, contents = {}, {}
    for path in sorted(root.rglob("*")):
        name, stat = str(path.relative_to(root)), path.lstat()
        kind = SYMLINK if path.is_symlink() else DIRECTORY if path.is_dir() else FILE
        target = str(path.readlink()) if kind == SYMLINK else ""
        entries[name] = Entry(name, kind, stat.st_mode & 0o7777, stat.st_uid, stat.st_gid, target=target)
        if kind == FILE:
            contents[name] = path.read_bytes()
    return entries, contents


def words(entry: Entry, content: bytes) -> str:
    if entry.kind == SYMLINK:
        return f"link {entry.target}"
    return f"{entry.kind} {entry.mode:04o} {entry.uid}:{entry.gid} {content.decode('latin-1')}"


def package(name: str, folder: Path) -> Path:
    """The installed package's archive, made anew or downloaded by apt, unpacked below FOLDER."""
    done = subprocess.run(
        ["apt-get", "download", "-q", name], cwd=folder, capture_output=True, text=True, check=False
    )
    archives = list(folder.glob(f"{name}_*.deb"))
    if done.returncode or not archives:
        pytest.skip(f"apt-get cannot download {name}: {done.stderr.strip()[-200:]}")
    root = folder / "root"
    subprocess.run(["dpkg-deb", "-x", archives[0], root], check=True)
    control = folder / "control"
    subprocess.run(["dpkg-deb", "-e", archives[0], control], check=True)
    return root


def need(*tools: str) -> None:
    for tool in tools:
        if not shutil.which(tool):
            pytest.skip(f"{tool} is missing: install Debian's {tool}")


@pytest.mark.oracle
@pytest.mark.live
def test_the_bundle_is_what_update_ca_certificates_makes(tmp_path: Path) -> None:
    need("apt-get", "dpkg-deb", "update-ca-certificates", "openssl")
    root = package("ca-certificates", tmp_path)
    (root / "usr/local/share/ca-certificates").mkdir(parents=True)
    one = next((root / MOZILLA).iterdir())
    (root / "usr/local/share/ca-certificates/own (a).crt").write_bytes(one.read_bytes().rstrip(b"\n"))
    entries, contents = read_tree(root)
    made = {
        file.entry.path: file
        for file in native_effects(entries, contents.get, build_accounts(None))
        if file.entry.path not in entries
    }
    (tmp_path / "conf").write_bytes(made["etc/ca-certificates.conf"].content)
    certs = root / "etc/ssl/certs"
    subprocess.run(
        [
            "update-ca-certificates",
            "--certsconf", tmp_path / "conf",
            "--certsdir", root / "usr/share/ca-certificates",
            "--localcertsdir", root / "usr/local/share/ca-certificates",
            "--etccertsdir", certs,
            "--hooksdir", tmp_path / "none",
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    bundle = made.pop("etc/ssl/certs/ca-certificates.crt")
    assert bundle.content == (certs / "ca-certificates.crt").read_bytes()
    links = {p.name: str(p.readlink()).removeprefix(str(root)) for p in certs.glob("*.pem")}
    assert links == {
        path.rpartition("/")[2]: file.entry.target
        for path, file in made.items()
        if file.entry.kind == SYMLINK
    }
    assert len(links) > 100


@pytest.mark.oracle
@pytest.mark.live
def test_base_files_makes_what_its_postinst_makes(tmp_path: Path) -> None:
    need("apt-get", "dpkg-deb")
    if not Path("/", MASTERS["etc/group"]).exists():
        pytest.skip("base-passwd's masters are missing: needs Debian's base-passwd")
    root = package("base-files", tmp_path)
    entries, contents = read_tree(root)
    before = set(entries)
    image = {path: Path("/", path).read_bytes() for path in MASTERS.values()}
    made = {
        file.entry.path: words(file.entry, file.content)
        for file in native_effects(entries, contents.get, build_accounts(image.get))
    }
    done = subprocess.run(
        ["sh", tmp_path / "control/postinst", "configure", ""],
        env={"DPKG_ROOT": str(root), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    if "Operation not permitted" in done.stderr:
        pytest.skip("only root can run base-files' postinst")
    assert done.returncode == 0, done.stderr
    after, contents = read_tree(root)
    new = {
        path: words(entry, contents.get(path, b""))
        for path, entry in after.items()
        if path not in before or entry.kind != entries[path].kind
    }
    new.pop("usr/share/info/dir", None)  # documentation, left out on purpose
    new.pop("usr/local/libexec", None)
    assert made == new
