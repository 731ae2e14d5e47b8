"""What base-files and tzdata make when they are first configured.

Mirrors base-files.postinst (``configure`` without an old version; bookworm 12.4, trixie 13.8) and
tzdata.postinst (2025b) with debconf's default answers. Each of them only where its package is, and
only what is not there yet. Left out: usr/share/info/dir (documentation) and usr/local/libexec.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from builder.tree.entries import DIRECTORY, SYMLINK, Entry, NewFile

_DEFAULTS = {
    "root/.profile": "usr/share/base-files/dot.profile",
    "root/.bashrc": "usr/share/base-files/dot.bashrc",
    "etc/profile": "usr/share/base-files/profile",
    "etc/motd": "usr/share/base-files/motd",
}
_FOLDERS = ("mnt", "srv", "opt", "etc/opt", "var/opt", "media")
_LOCAL = ("", "/share", "/share/man", "/bin", "/games", "/lib", "/include", "/sbin", "/src", "/etc")
_LOGS = {"var/log/btmp": 0o660, "var/log/lastlog": 0o664, "var/log/wtmp": 0o664}
_ZONE = "usr/share/zoneinfo/Etc/UTC"
_GROUPS = {"mail": 8, "utmp": 43}  # base-passwd's group.master


def default_paths(entries: Mapping[str, Entry]) -> tuple[str, ...]:
    """Return the files whose content `base_files` copies."""
    return tuple(
        source for path, source in _DEFAULTS.items() if source in entries and path not in entries
    )


def base_files(
    entries: Mapping[str, Entry],
    read: Callable[[str], bytes | None],
    gid: Callable[[str], int | None],
) -> tuple[NewFile, ...]:
    """Return what base-files.postinst makes; GID gives a group's number in the image.

    var/run and var/lock become links though the package ships folders: whoever merges must take the
    packages' entries there to where the links lead.
    """
    if _DEFAULTS["etc/profile"] not in entries:
        return ()
    files = [
        *(NewFile(Entry(path, DIRECTORY, 0o755)) for path in _FOLDERS),
        *(NewFile(Entry(f"usr/local{path}", DIRECTORY, 0o755)) for path in _LOCAL),
        _link("usr/local/man", "share/man"),
        NewFile(Entry("var/mail", DIRECTORY, 0o2775, gid=_gid("mail", gid))),
        _link("var/spool/mail", "../mail"),
        NewFile(Entry("run/lock", DIRECTORY, 0o1777)),
        *(
            NewFile.regular(path, b"", mode=mode, gid=_gid("utmp", gid))
            for path, mode in sorted(_LOGS.items())
        ),
        *(
            NewFile.regular(path, content)
            for path, source in sorted(_DEFAULTS.items())
            if source in entries and (content := read(source)) is not None
        ),
    ]
    if "etc/dpkg/origins/debian" in entries:
        files.append(_link("etc/dpkg/origins/default", "debian"))
    made = [file for file in files if file.entry.path not in entries]
    for path, target in (("var/lock", "/run/lock"), ("var/run", "/run")):
        present = entries.get(path)
        if present is None or present.kind == DIRECTORY:
            made.append(_link(path, target))
    return tuple(made)


def zone_files(entries: Mapping[str, Entry]) -> tuple[NewFile, ...]:
    """Return etc/localtime and etc/timezone for UTC, debconf's default in tzdata.postinst.

    trixie's no longer writes etc/timezone by itself; programs that read it find the same zone.
    """
    if _ZONE not in entries:
        return ()
    files = (_link("etc/localtime", f"/{_ZONE}"), NewFile.regular("etc/timezone", b"Etc/UTC\n"))
    return tuple(file for file in files if file.entry.path not in entries)


def _link(path: str, target: str) -> NewFile:
    return NewFile(Entry(path, SYMLINK, 0o777, target=target))


def _gid(group: str, gid: Callable[[str], int | None]) -> int:
    found = gid(group)
    return _GROUPS[group] if found is None else found
