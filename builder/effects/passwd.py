r"""Lines of passwd(5), group(5), shadow(5) and gshadow(5), to and from text.

>>> parse_group("adm:x:4:syslog,app\n")[0].members
('syslog', 'app')
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

_MAX_ID = 0xFFFF_FFFE  # (uid_t) -1 means "no change" to chown(2)


class PasswdLine(msgspec.Struct, frozen=True):
    """A line of etc/passwd."""

    name: str
    password: str
    uid: int
    gid: int
    gecos: str
    home: str
    shell: str

    def line(self) -> str:
        """Return it as text, without the line feed."""
        return f"{self.name}:{self.password}:{self.uid}:{self.gid}:{self.gecos}:{self.home}:{self.shell}"


class GroupLine(msgspec.Struct, frozen=True):
    """A line of etc/group."""

    name: str
    password: str
    gid: int
    members: tuple[str, ...] = ()

    def line(self) -> str:
        """Return it as text, without the line feed."""
        return f"{self.name}:{self.password}:{self.gid}:{','.join(self.members)}"


class ShadowLine(msgspec.Struct, frozen=True):
    """A line of etc/shadow (its ``rest`` starts at the day of the last change) or of etc/gshadow."""

    name: str
    rest: tuple[str, ...]

    def line(self) -> str:
        """Return it as text, without the line feed."""
        return ":".join((self.name, *self.rest))


def parse_passwd(text: str) -> tuple[PasswdLine, ...]:
    """Return the lines of an etc/passwd; `ValueError`, naming the line, for anything else."""
    return tuple(
        PasswdLine(name, password, _number(uid, where), _number(gid, where), gecos, home, shell)
        for where, (name, password, uid, gid, gecos, home, shell) in _fields(text, 7)
    )


def parse_group(text: str) -> tuple[GroupLine, ...]:
    """Return the lines of an etc/group; `ValueError`, naming the line, for anything else."""
    return tuple(
        GroupLine(name, password, _number(gid, where), tuple(filter(None, members.split(","))))
        for where, (name, password, gid, members) in _fields(text, 4)
    )


def parse_shadow(text: str) -> tuple[ShadowLine, ...]:
    """Return the lines of an etc/shadow; `ValueError`, naming the line, for anything else."""
    return tuple(ShadowLine(name, tuple(rest)) for _, (name, *rest) in _fields(text, 9))


def parse_gshadow(text: str) -> tuple[ShadowLine, ...]:
    """Return the lines of an etc/gshadow; `ValueError`, naming the line, for anything else."""
    return tuple(ShadowLine(name, tuple(rest)) for _, (name, *rest) in _fields(text, 4))


def render(lines: Iterable[PasswdLine | GroupLine | ShadowLine]) -> bytes:
    """Return LINES as the content of their file."""
    return "".join(f"{line.line()}\n" for line in lines).encode("utf-8", "surrogateescape")


def _fields(text: str, count: int) -> Iterable[tuple[str, list[str]]]:
    """Yield the fields of each line that is not blank, with the words that name the line."""
    for number, line in enumerate(text.split("\n"), 1):
        if not line:
            continue
        fields = line.split(":")
        if len(fields) != count:
            raise ValueError(f"line {number} has {len(fields)} fields, not {count}")
        if not fields[0]:
            raise ValueError(f"line {number} has no name")
        yield f"line {number}", fields


def _number(text: str, where: str) -> int:
    """Return an id; `ValueError` unless it is digits alone and in the kernel's range."""
    if not (text.isascii() and text.isdigit() and int(text) <= _MAX_ID):
        raise ValueError(f"{where}: {text[:20]!r} is no id")
    return int(text)
