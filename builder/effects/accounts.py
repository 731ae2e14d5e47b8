"""Accounts: etc/passwd, group, shadow, gshadow (passwd(5), group(5), shadow(5), gshadow(5)).

What there is already (from a base image or a package) is kept and added to; else base-passwd's
masters are taken, as its postinst does on a first install; else root and nobody, which Debian's
policy §9.2.2 counts on. Then come the spec's groups and users. Everything that is added is locked
(``*``: no password matches) and carries no date of change, so that nothing depends on the clock.

>>> built = build_accounts(None, users=(User(name="app", uid=10001),))
>>> built.passwd[-1].line()
'app:x:10001:10001::/nonexistent:/usr/sbin/nologin'
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias, TypeVar

import msgspec

from builder.effects.passwd import (
    GroupLine,
    PasswdLine,
    ShadowLine,
    parse_group,
    parse_gshadow,
    parse_passwd,
    parse_shadow,
    render,
)
from builder.errors import Position, SpecError
from builder.spec.model import Group, User
from builder.tree.entries import DIRECTORY, Entry, NewFile

Read: TypeAlias = Callable[[str], bytes | None]
Locate: TypeAlias = Callable[[str], Position | str | None]

PASSWD = "etc/passwd"  # noqa: S105 - a path
GROUP = "etc/group"
SHADOW = "etc/shadow"
GSHADOW = "etc/gshadow"
PATHS = (PASSWD, GROUP, SHADOW, GSHADOW)
MASTERS = {PASSWD: "usr/share/base-passwd/passwd.master", GROUP: "usr/share/base-passwd/group.master"}
"""Where base-passwd ships the accounts that each Debian system has (base-passwd.postinst)."""

_SHADOWED = "x"  # the field says: look in the shadow file
_NO_PASSWORD = "*"  # noqa: S105 - no password matches
_MINIMAL_USERS = (
    "root:*:0:0:root:/root:/bin/bash\nnobody:*:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
)
_MINIMAL_GROUPS = "root:*:0:\nshadow:*:42:\nnogroup:*:65534:\n"


class Accounts(msgspec.Struct, frozen=True, kw_only=True):
    """All accounts of an image, in the order of the files."""

    passwd: tuple[PasswdLine, ...]
    group: tuple[GroupLine, ...]
    shadow: tuple[ShadowLine, ...]
    gshadow: tuple[ShadowLine, ...]

    def uid(self, name: str) -> int | None:
        """Return the number of user NAME; None if there is none."""
        return next((line.uid for line in self.passwd if line.name == name), None)

    def gid(self, name: str) -> int | None:
        """Return the number of group NAME; None if there is none."""
        return next((line.gid for line in self.group if line.name == name), None)


Line = TypeVar("Line", PasswdLine, GroupLine, ShadowLine)


# ---- what there is -------------------------------------------------------------------------------


def build_accounts(
    read: Read | None,
    *,
    groups: Sequence[Group] = (),
    users: Sequence[User] = (),
    locate: Locate = str,
) -> Accounts:
    """Return the accounts of an image with GROUPS and USERS of the spec added.

    READ gives the content of a path of the image, None where there is none. `SpecError` for names
    and numbers that clash, its ``where`` what LOCATE (`SpecDocument.position`) gives for
    ``accounts.users[0]``.
    """
    accounts = _present(read or (lambda _: None))
    for index, group in enumerate(groups):
        accounts = _with_group(accounts, group, locate(f"accounts.groups[{index}]"))
    for index, user in enumerate(users):
        accounts = _with_user(accounts, user, locate(f"accounts.users[{index}]"))
    return _with_members(accounts, groups, locate)


def _present(read: Read) -> Accounts:
    """Return the accounts that are there, with a shadow line for each."""
    passwd = _read_lines(read, PASSWD, parse_passwd, _MINIMAL_USERS)
    group = _read_lines(read, GROUP, parse_group, _MINIMAL_GROUPS)
    shadow = _read_lines(read, SHADOW, parse_shadow, "")
    gshadow = _read_lines(read, GSHADOW, parse_gshadow, "")
    # pwconv(8) and grpconv(8): a password moves to the shadow file, "x" takes its place.
    have = {line.name for line in shadow}
    shadow += tuple(_shadow(line.name, line.password) for line in passwd if line.name not in have)
    have = {line.name for line in gshadow}
    gshadow += tuple(
        ShadowLine(line.name, (_locked(line.password), "", ",".join(line.members)))
        for line in group
        if line.name not in have
    )
    return Accounts(
        passwd=tuple(msgspec.structs.replace(line, password=_SHADOWED) for line in passwd),
        group=tuple(msgspec.structs.replace(line, password=_SHADOWED) for line in group),
        shadow=shadow,
        gshadow=gshadow,
    )


def _read_lines(
    read: Read,
    path: str,
    parse: Callable[[str], tuple[Line, ...]],
    default: str,
) -> tuple[Line, ...]:
    """Return the lines of PATH, or of base-passwd's master, or of DEFAULT."""
    for candidate in filter(None, (path, MASTERS.get(path))):
        content = read(candidate)
        if content is not None:
            try:
                return parse(content.decode("utf-8", "surrogateescape"))
            except ValueError as error:
                raise SpecError(f"the image's /{candidate} cannot be added to: {error}") from None
    return parse(default)


def _locked(password: str) -> str:
    """Return what the shadow file says of a PASSWORD field: ``x`` without a line there is locked."""
    return _NO_PASSWORD if password == _SHADOWED else password


def _shadow(name: str, password: str) -> ShadowLine:
    """Return the shadow line of NAME: no day of change, Debian's ages (login.defs: 0, 99999, 7)."""
    return ShadowLine(name, (_locked(password), "", "0", "99999", "7", "", "", ""))


# ---- what the spec adds --------------------------------------------------------------------------


def _with_group(accounts: Accounts, group: Group, where: Position | str | None) -> Accounts:
    """Add GROUP; one that is there with the same number is the same group."""
    if accounts.gid(group.name) == group.gid:
        return accounts
    _refuse_taken("group", group.name, group.gid, ((g.name, g.gid) for g in accounts.group), where)
    return msgspec.structs.replace(
        accounts,
        group=(*accounts.group, GroupLine(group.name, _SHADOWED, group.gid)),
        gshadow=(*accounts.gshadow, ShadowLine(group.name, ("!", "", ""))),
    )


def _with_user(accounts: Accounts, user: User, where: Position | str | None) -> Accounts:
    """Add USER, and the group of the same name and number unless the spec gives another."""
    _refuse_taken("user", user.name, user.uid, ((p.name, p.uid) for p in accounts.passwd), where)
    accounts, gid = _primary_group(accounts, user, where)
    line = PasswdLine(user.name, _SHADOWED, user.uid, gid, user.gecos, user.home, user.shell)
    accounts = msgspec.structs.replace(
        accounts,
        passwd=(*accounts.passwd, line),
        shadow=(*accounts.shadow, _shadow(user.name, _NO_PASSWORD)),
    )
    for group in user.groups:
        accounts = _with_member(accounts, group, user.name, where)
    return accounts


def _primary_group(accounts: Accounts, user: User, where: Position | str | None) -> tuple[Accounts, int]:
    """Return the gid of USER's primary group, making the group if it is the user's own."""
    if user.group:
        gid = accounts.gid(user.group)
        if gid is None:
            raise _no_group(user.group, user.name, where)
        if user.gid not in (None, gid):
            raise SpecError(
                f'user "{user.name}" has gid {user.gid}, but its group "{user.group}" has {gid}',
                where=where,
            )
        return accounts, gid
    gid = user.uid if user.gid is None else user.gid
    is_there = any(line.gid == gid for line in accounts.group)
    if user.gid is not None and is_there:
        return accounts, gid
    return _with_group(accounts, Group(name=user.name, gid=gid), where), gid


def _with_members(accounts: Accounts, groups: Sequence[Group], locate: Locate) -> Accounts:
    """Put the members that GROUPS name into them, once all users are there."""
    for index, group in enumerate(groups):
        where = locate(f"accounts.groups[{index}]")
        for member in group.members:
            if accounts.uid(member) is None:
                raise SpecError(
                    f'group "{group.name}" has the member "{member}", which is no user of the image',
                    where=where,
                )
            accounts = _with_member(accounts, group.name, member, where)
    return accounts


def _with_member(accounts: Accounts, group: str, user: str, where: Position | str | None) -> Accounts:
    """Make USER a member of GROUP."""
    found = next((line for line in accounts.group if line.name == group), None)
    if found is None:
        raise _no_group(group, user, where)
    if user in found.members:
        return accounts
    members = (*found.members, user)
    return msgspec.structs.replace(
        accounts,
        group=tuple(
            msgspec.structs.replace(line, members=members) if line is found else line
            for line in accounts.group
        ),
        gshadow=tuple(
            ShadowLine(line.name, (*line.rest[:2], ",".join(members))) if line.name == group else line
            for line in accounts.gshadow
        ),
    )


def _refuse_taken(
    kind: str,
    name: str,
    number: int,
    taken: Iterable[tuple[str, int]],
    where: Position | str | None,
) -> None:
    """Refuse a NAME or NUMBER that is another's; KIND is ``user`` or ``group``."""
    word = f"{kind[0]}id"
    for other, its in taken:
        if other == name:
            raise SpecError(f'{kind} "{name}" is in the image already, with {word} {its}', where=where)
        if its == number:
            raise SpecError(f'{kind} "{name}": {word} {number} is "{other}" in the image', where=where)


def _no_group(group: str, user: str, where: Position | str | None) -> SpecError:
    return SpecError(
        f'user "{user}" is to be in group "{group}", which is not in the image',
        where=where,
        hint="add the group under accounts.groups, or the package that makes it",
    )


# ---- what comes of it ----------------------------------------------------------------------------


def account_files(accounts: Accounts) -> tuple[NewFile, ...]:
    """Return the four files, with the modes and owners Debian gives them (shadow 0640 root:shadow)."""
    shadow = accounts.gid("shadow") or 0
    return (
        NewFile.regular(GROUP, render(accounts.group)),
        NewFile.regular(GSHADOW, render(accounts.gshadow), mode=0o640, gid=shadow),
        NewFile.regular(PASSWD, render(accounts.passwd)),
        NewFile.regular(SHADOW, render(accounts.shadow), mode=0o640, gid=shadow),
    )


def home_folders(
    accounts: Accounts, users: Sequence[User], present: Callable[[str], bool]
) -> tuple[NewFile, ...]:
    """Return the home folders of USERS that are not PRESENT, theirs and 0755.

    ``/`` and ``/nonexistent`` (policy §9.2.3) are not made. 0755 and not adduser's newer 0700: what
    an image ships in a home is read by whatever user the container is run as.
    """
    folders: list[NewFile] = []
    for user in users:
        path = user.home.strip("/")
        if not path or path.split("/")[0] == "nonexistent" or present(path):
            continue
        gid = next(line.gid for line in accounts.passwd if line.name == user.name)
        folders.append(NewFile(Entry(path, DIRECTORY, 0o755, user.uid, gid)))
    return tuple({folder.entry.path: folder for folder in reversed(folders)}.values())[::-1]


def resolve_owner(
    accounts: Accounts, owner: str, group: str, where: Position | str | None
) -> tuple[int, int]:
    """Return uid and gid of an OWNER and GROUP that a spec's ``files`` gives: names or numbers.

    "" is root; without a group it is the owner's own, as ``chown OWNER:`` takes. `SpecError` for a
    name the image does not have.
    """
    uid, gid = 0, 0
    if owner:
        found = next((p for p in accounts.passwd if p.name == owner), None)
        if found is None and not owner.isdigit():
            raise SpecError(
                f'owner "{owner}" is no user of the image',
                where=where,
                hint=_have("users", accounts.passwd),
            )
        uid = found.uid if found else int(owner)
        by_number = next((p for p in accounts.passwd if p.uid == uid), None)
        gid = by_number.gid if by_number else uid
    if group:
        number = accounts.gid(group)
        if number is None and not group.isdigit():
            raise SpecError(
                f'group "{group}" is no group of the image',
                where=where,
                hint=_have("groups", accounts.group),
            )
        gid = int(group) if number is None else number
    return uid, gid


def _have(what: str, lines: Iterable[PasswdLine | GroupLine]) -> str:
    return f"the image has the {what} {', '.join(line.name for line in lines)}"
