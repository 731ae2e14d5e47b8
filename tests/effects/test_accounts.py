"""Accounts: what is there is kept, what the spec asks for is added, clashes are told."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.effects import accounts as module
from builder.effects.accounts import (
    MASTERS,
    account_files,
    build_accounts,
    home_folders,
    resolve_owner,
)
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
from builder.errors import SpecError
from builder.spec.model import Group, User

DEBIAN = {
    MASTERS[
        "etc/passwd"
    ]: b"root:*:0:0:root:/root:/bin/bash\n_apt:*:42:65534::/nonexistent:/sbin/nologin\n",
    MASTERS["etc/group"]: b"root:*:0:\nmail:*:8:\nshadow:*:42:\nstaff:*:50:\n",
}


def built(
    users: tuple[User, ...] = (),
    groups: tuple[Group, ...] = (),
    image: Mapping[str, bytes] = DEBIAN,
) -> dict[str, str]:
    made = account_files(build_accounts(image.get, groups=groups, users=users))
    return {file.entry.path: file.content.decode() for file in made}


def refusal(
    users: tuple[User, ...] = (),
    groups: tuple[Group, ...] = (),
    image: Mapping[str, bytes] = DEBIAN,
) -> str:
    with pytest.raises(SpecError) as caught:
        build_accounts(image.get, groups=groups, users=users)
    return caught.value.render()


def test_masters_of_base_passwd_become_the_accounts_with_locked_shadow_lines() -> None:
    assert built() == {
        "etc/passwd": ("root:x:0:0:root:/root:/bin/bash\n_apt:x:42:65534::/nonexistent:/sbin/nologin\n"),
        "etc/group": "root:x:0:\nmail:x:8:\nshadow:x:42:\nstaff:x:50:\n",
        "etc/shadow": "root:*::0:99999:7:::\n_apt:*::0:99999:7:::\n",
        "etc/gshadow": "root:*::\nmail:*::\nshadow:*::\nstaff:*::\n",
    }


def test_an_image_without_base_passwd_has_root_and_nobody() -> None:
    files = built(image={})
    assert files["etc/passwd"] == (
        "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
    )
    assert files["etc/group"] == "root:x:0:\nshadow:x:42:\nnogroup:x:65534:\n"


def test_a_user_gets_a_group_of_its_own_name_and_number_and_its_further_groups() -> None:
    files = built(
        (User(name="app", uid=10001, groups=("staff", "mail"), home="/home/app", gecos="An app"),)
    )
    assert files["etc/passwd"].endswith("\napp:x:10001:10001:An app:/home/app:/usr/sbin/nologin\n")
    assert files["etc/group"] == (
        "root:x:0:\nmail:x:8:app\nshadow:x:42:\nstaff:x:50:app\napp:x:10001:\n"
    )
    assert files["etc/gshadow"] == "root:*::\nmail:*::app\nshadow:*::\nstaff:*::app\napp:!::\n"
    assert files["etc/shadow"].endswith("\napp:*::0:99999:7:::\n")


def test_a_group_of_the_spec_may_be_a_users_primary_group_and_have_members() -> None:
    groups = (Group(name="web", gid=900, members=("app", "other")),)
    files = built((User(name="app", uid=1, group="web"), User(name="other", uid=2)), groups)
    assert "app:x:1:900:" in files["etc/passwd"]
    assert "web:x:900:app,other\n" in files["etc/group"]


def test_a_gid_of_the_image_may_be_a_users_primary_group() -> None:
    files = built((User(name="app", uid=10001, gid=8),))
    assert "app:x:10001:8:" in files["etc/passwd"]
    assert "app" not in files["etc/group"]


def test_accounts_of_a_base_are_kept_and_added_to() -> None:
    base = built((User(name="old", uid=500, groups=("mail",)),))
    base["etc/shadow"] = base["etc/shadow"].replace("old:*:", "old:$6$salt$hash:19000")
    files = built((User(name="app", uid=501),), image={k: v.encode() for k, v in base.items()})
    assert files["etc/passwd"].startswith(base["etc/passwd"])
    assert files["etc/shadow"].startswith(base["etc/shadow"])
    assert files["etc/gshadow"].startswith(base["etc/gshadow"])


def test_a_group_with_the_name_and_number_of_one_that_is_there_is_that_one() -> None:
    assert built(groups=(Group(name="staff", gid=50),)) == built()


@pytest.mark.parametrize(
    ("users", "groups", "text"),
    [
        (
            (User(name="_apt", uid=7),),
            (),
            'error: accounts.users[0]: user "_apt" is in the image already, with uid 42',
        ),
        (
            (User(name="app", uid=42),),
            (),
            'error: accounts.users[0]: user "app": uid 42 is "_apt" in the image',
        ),
        (
            (),
            (Group(name="staff", gid=51),),
            'error: accounts.groups[0]: group "staff" is in the image already, with gid 50',
        ),
        (
            (),
            (Group(name="web", gid=8),),
            'error: accounts.groups[0]: group "web": gid 8 is "mail" in the image',
        ),
        (
            (User(name="app", uid=8),),
            (),
            'error: accounts.users[0]: group "app": gid 8 is "mail" in the image',
        ),
        (
            (User(name="app", uid=9, gid=9, group="mail"),),
            (),
            'error: accounts.users[0]: user "app" has gid 9, but its group "mail" has 8',
        ),
        (
            (User(name="app", uid=9, groups=("wheel",)),),
            (),
            (
                'error: accounts.users[0]: user "app" is to be in group "wheel", which is not in the'
                " image\n\nhint: add the group under accounts.groups, or the package that makes it"
            ),
        ),
        (
            (),
            (Group(name="web", gid=9, members=("ghost",)),),
            (
                'error: accounts.groups[0]: group "web" has the member "ghost", which is no user of the'
                " image"
            ),
        ),
    ],
)
def test_clashes_are_told(users: tuple[User, ...], groups: tuple[Group, ...], text: str) -> None:
    assert refusal(users, groups) == text


@pytest.mark.parametrize(
    ("path", "content", "reason"),
    [
        ("etc/passwd", b"root:x:0:0\n", "line 1 has 4 fields, not 7"),
        ("etc/group", b"root:x:0:\n:x:1:\n", "line 2 has no name"),
        ("etc/group", b"root:x:-1:\n", "line 1: '-1' is no id"),
        ("etc/group", b"root:x:4294967295:\n", "line 1: '4294967295' is no id"),
        ("etc/group", "root:x:٣:\n".encode(), "line 1: '٣' is no id"),
    ],
)
def test_a_file_of_the_image_that_is_no_account_file_is_told(
    path: str, content: bytes, reason: str
) -> None:
    assert refusal(image={path: content}) == f"error: the image's /{path} cannot be added to: {reason}"


def test_modes_and_owners_are_debians() -> None:
    files = account_files(build_accounts(DEBIAN.get))
    assert [(f.entry.path, oct(f.entry.mode), f.entry.uid, f.entry.gid) for f in files] == [
        ("etc/group", "0o644", 0, 0),
        ("etc/gshadow", "0o640", 0, 42),
        ("etc/passwd", "0o644", 0, 0),
        ("etc/shadow", "0o640", 0, 42),
    ]


def test_home_folders_are_made_unless_they_are_there_or_none() -> None:
    users = (
        User(name="a", uid=1, home="/home/a"),
        User(name="b", uid=2, home="/"),
        User(name="c", uid=3),
        User(name="d", uid=4, home="/srv/"),
        User(name="e", uid=5, home="/home/a", gid=0),
    )
    accounts = build_accounts(DEBIAN.get, users=users)
    folders = home_folders(accounts, users, {"srv"}.__contains__)
    assert [(f.entry.path, f.entry.mode, f.entry.uid, f.entry.gid) for f in folders] == [
        ("home/a", 0o755, 1, 1)
    ]


def test_owners_are_names_or_numbers() -> None:
    accounts = build_accounts(DEBIAN.get, users=(User(name="app", uid=10001, group="staff"),))
    assert resolve_owner(accounts, "", "", "files[0]") == (0, 0)
    assert resolve_owner(accounts, "app", "", "files[0]") == (10001, 50)
    assert resolve_owner(accounts, "10001", "", "files[0]") == (10001, 50)
    assert resolve_owner(accounts, "777", "", "files[0]") == (777, 777)
    assert resolve_owner(accounts, "app", "mail", "files[0]") == (10001, 8)
    assert resolve_owner(accounts, "", "7", "files[0]") == (0, 7)


def test_an_owner_that_is_not_in_the_image_is_told() -> None:
    accounts = build_accounts(DEBIAN.get)
    with pytest.raises(SpecError) as caught:
        resolve_owner(accounts, "ap", "", "files[0]")
    assert caught.value.render() == (
        'error: files[0]: owner "ap" is no user of the image\n\nhint: the image has the users root, _apt'
    )
    with pytest.raises(SpecError) as caught:
        resolve_owner(accounts, "", "ap", "files[0]")
    assert caught.value.render() == (
        'error: files[0]: group "ap" is no group of the image\n\n'
        "hint: the image has the groups root, mail, shadow, staff"
    )


# ---- laws ----------------------------------------------------------------------------------------

WORDS = st.text(st.characters(exclude_characters=":\n,\0", exclude_categories=["Cs"]), max_size=8)
NAMES = WORDS.filter(bool)
IDS = st.integers(0, 0xFFFF_FFFE)


@given(st.lists(st.builds(PasswdLine, NAMES, WORDS, IDS, IDS, WORDS, WORDS, WORDS)).map(tuple))
def test_rendered_passwd_lines_are_read_as_they_were(lines: tuple[PasswdLine, ...]) -> None:
    assert parse_passwd(render(lines).decode()) == lines


@given(st.lists(st.builds(GroupLine, NAMES, WORDS, IDS, st.lists(NAMES).map(tuple))).map(tuple))
def test_rendered_group_lines_are_read_as_they_were(lines: tuple[GroupLine, ...]) -> None:
    assert parse_group(render(lines).decode()) == lines


@given(st.lists(st.tuples(NAMES, st.tuples(*[WORDS] * 8))))
def test_rendered_shadow_lines_are_read_as_they_were(rows: list[tuple[str, tuple[str, ...]]]) -> None:
    lines = tuple(ShadowLine(name, rest) for name, rest in rows)
    assert parse_shadow(render(lines).decode()) == lines


@given(st.lists(st.tuples(NAMES, st.tuples(WORDS, WORDS, WORDS))))
def test_rendered_gshadow_lines_are_read_as_they_were(rows: list[tuple[str, tuple[str, ...]]]) -> None:
    lines = tuple(ShadowLine(name, rest) for name, rest in rows)
    assert parse_gshadow(render(lines).decode()) == lines


@given(st.lists(st.integers(1000, 60000), unique=True, max_size=6))
def test_building_on_what_was_built_changes_nothing(uids: list[int]) -> None:
    users = tuple(User(name=f"u{uid}", uid=uid, groups=("staff",)) for uid in uids)
    first = {f.entry.path: f.content for f in account_files(build_accounts(DEBIAN.get, users=users))}
    again = {f.entry.path: f.content for f in account_files(build_accounts(first.get))}
    assert again == first


# ---- shadow's own checkers -----------------------------------------------------------------------


@pytest.mark.oracle
@pytest.mark.parametrize("masters", [True, False])
def test_pwck_and_grpck_find_nothing_to_change(tmp_path: Path, masters: bool) -> None:
    if not (shutil.which("pwck") and shutil.which("grpck")):
        pytest.skip("pwck and grpck are missing: install Debian's passwd")
    image = {}
    if masters:
        for path in MASTERS.values():
            if not Path("/", path).exists():
                pytest.skip(f"/{path} is missing: needs Debian's base-passwd")
            image[path] = Path("/", path).read_bytes()
    users = (User(name="app", uid=10001, groups=("shadow",), home="/home/app"),)
    accounts = build_accounts(
        image.get, users=users, groups=(Group(name="web", gid=950, members=("app",)),)
    )
    (tmp_path / "etc").mkdir()
    for file in account_files(accounts):
        (tmp_path / file.entry.path).write_bytes(file.content)
    for line in accounts.passwd:
        for path in (line.home, line.shell):
            (tmp_path / path.lstrip("/")).mkdir(parents=True, exist_ok=True)
    for tool, label in (("pwck", "pwck"), ("grpck", "grpck")):
        done = subprocess.run(
            [tool, "-r", "-R", str(tmp_path)], capture_output=True, text=True, check=False
        )
        complaints = [
            line
            for line in (done.stdout + done.stderr).splitlines()
            if "nonexistent" not in line and f"{label}: no changes" not in line and "program" not in line
        ]
        assert complaints == []


def test_the_example_of_the_module_holds() -> None:
    import doctest

    assert doctest.testmod(module, extraglobs={"User": User}).failed == 0
