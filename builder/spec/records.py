"""The maps inside a spec: a distribution, a repository, a package, accounts, files, the configuration.

Shape, meaning, default and example of each key; `builder.spec.grammar` puts them together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from builder.spec import values
from builder.spec.faults import Refusal
from builder.spec.model import (
    Config,
    Distro,
    FileEntry,
    Group,
    Healthcheck,
    PackageRequest,
    Repository,
    User,
)
from builder.spec.shapes import Choice, Either, Field, Flag, ListOf, MapOf, Record, Shape, Text, Whole

# uid_t is 32 bits and its highest number means "no change" (chown(2)).
_MAX_ID = 2**32 - 2


def _struct(kind: type) -> Callable[[dict[str, Any]], Any]:
    return lambda given: kind(**given)


_WORD = Text(values.any_text, numbers=True, may_be_empty=True)


def _words(example: str) -> Shape:
    return Either(
        Text(values.command),
        many=ListOf(_WORD, example, _command_list),
        noun="a list of words or one command line",
    )


def _command_list(words: tuple[str, ...]) -> tuple[str, ...]:
    if words and not words[0]:
        raise Refusal("the first word is empty", "it names the program")
    return words


def _paths(what: Callable[[str], str], example: str, pattern: str = "") -> ListOf:
    return ListOf(Text(what, pattern), example)


def texts(parse: Callable[[str], str], key: Callable[[str], str], pattern: str, example: str) -> MapOf:
    """Return the shape of a map of text to text, such as labels."""
    return MapOf(key, pattern, Text(parse, numbers=True, may_be_empty=True), example)


# ---- the distribution and repositories -----------------------------------------------------------

_COMPONENTS = ListOf(Text(values.component, values.COMPONENT), "[main]")

DISTRO = Record(
    {
        "name": Field(
            Text(values.distro_name, values.DISTRO_NAME),
            "The distribution's name.",
            example="debian",
            is_needed=True,
        ),
        "suite": Field(
            Text(values.distro_suite, values.SUITE, numbers=True),
            "The suite or release. Default: the distribution's newest stable one.",
            example="trixie",
        ),
        "components": Field(
            _COMPONENTS,
            "The components to look at. Default: the distribution's own choice.",
            example=["main"],
        ),
        "snapshot": Field(
            Text(values.snapshot, values.SNAPSHOT, numbers=True),
            "Use the dated archive of this moment (UTC) instead of the present one.",
            example="20250520T000000Z",
        ),
        "mirror": Field(
            Either(
                Text(values.url, values.URL),
                many=ListOf(
                    Text(values.url, values.URL), "[http://mirror.example.com/debian]", needs_one=True
                ),
                noun="a URL or a list of URLs",
                wrap=lambda url: (url,),
            ),
            "Archive roots to fetch from, best first. Default: as the host's own package manager does.",
            example="http://mirror.example.com/debian",
        ),
    },
    _struct(Distro),
)


def _repository_rules(repository: Repository, _given: Mapping[str, Any]) -> Iterator[Refusal]:
    is_flat = repository.suite.endswith("/")
    if repository.is_unsigned and repository.keys:
        yield Refusal('"keys" and "trust: unsigned" exclude each other', "keep keys if it is signed")
    if not repository.is_unsigned and not repository.keys:
        yield Refusal("no keys to check it with", "add keys: [FILE.asc], or trust: unsigned")
    if is_flat and repository.components:
        yield Refusal("a flat repository has no components", "remove them, or name a suite without /")
    if not is_flat and not repository.components:
        yield Refusal("no components", "add components: [main], or end suite with / if it is flat")


REPOSITORY = Record(
    {
        "name": Field(
            Text(values.repository_name, values.REPOSITORY_NAME),
            "A name of your own; lock and messages use it.",
            example="internal",
            is_needed=True,
        ),
        "url": Field(
            Text(values.url, values.URL),
            "The archive root.",
            example="https://packages.example.com/debian",
            is_needed=True,
        ),
        "suite": Field(
            Text(values.suite, numbers=True),
            "A suite below dists/, or for a flat repository its folder with a slash at the end.",
            example="./",
            is_needed=True,
        ),
        "components": Field(
            _COMPONENTS,
            "The components to look at; none for a flat repository.",
            example=["main"],
            default=[],
        ),
        "keys": Field(
            _paths(values.beside, "[internal.asc]"),
            "OpenPGP key files, relative to the spec; one of them must have signed the repository.",
            example=["internal.asc"],
            default=[],
        ),
        "trust": Field(
            Choice(["unsigned"]),
            "Take the repository without a signature. This is recorded in the provenance.",
            name="is_unsigned",
            example="unsigned",
        ),
    },
    lambda given: Repository(**{**given, "is_unsigned": "is_unsigned" in given}),
    _repository_rules,
)


# ---- packages ------------------------------------------------------------------------------------

ARCHITECTURES = ListOf(Text(values.architecture, values.ARCHITECTURE), "[amd64]", needs_one=True)

PACKAGE = Either(
    Text(values.package, values.PACKAGE),
    keyed=Record(
        {
            "name": Field(
                Text(values.package, values.PACKAGE),
                "The package, with versions if need be.",
                name="text",
                example="intel-microcode",
                is_needed=True,
            ),
            "architectures": Field(
                ARCHITECTURES,
                "Install it in the images of these architectures only. Default: all of the image's.",
                example=["amd64"],
            ),
        },
        lambda given: PackageRequest(
            text=given["text"].text, architectures=given.get("architectures", ())
        ),
    ),
    noun='a name such as "nginx>=1.22" or a map with name and architectures',
)

# ---- accounts and files --------------------------------------------------------------------------


def _user_rules(user: User, _given: Mapping[str, Any]) -> Iterator[Refusal]:
    if user.gid is not None and user.group:
        yield Refusal('"gid" and "group" exclude each other', "keep one: both name the primary group")
    if (user.name == "root") != (user.uid == 0):
        yield Refusal(f'"{user.name}" cannot have uid {user.uid}', "uid 0 is root, and root is uid 0")


USER = Record(
    {
        "name": Field(
            Text(values.account, values.ACCOUNT), "The login name.", example="app", is_needed=True
        ),
        "uid": Field(Whole(0, _MAX_ID), "The user's number.", example=10001, is_needed=True),
        "gid": Field(
            Whole(0, _MAX_ID),
            "The number of the primary group. Default: that of group, or a group of the user's own "
            "name and number.",
            example=10001,
        ),
        "group": Field(
            Text(values.account, values.ACCOUNT),
            "The primary group by name, instead of gid.",
            example="app",
        ),
        "groups": Field(
            ListOf(Text(values.account, values.ACCOUNT), "[audio]"),
            "Further groups the user belongs to.",
            example=["audio"],
            default=[],
        ),
        "home": Field(
            Text(values.account_path, values.IMAGE_PATH),
            "The home directory.",
            example="/home/app",
            default="/nonexistent",
        ),
        "shell": Field(
            Text(values.account_path, values.IMAGE_PATH),
            "The login shell.",
            example="/bin/sh",
            default="/usr/sbin/nologin",
        ),
        "gecos": Field(
            Text(values.gecos, r"^[^:\n]*$"),
            "The comment in /etc/passwd.",
            example="The app",
            default="",
        ),
    },
    _struct(User),
    _user_rules,
)


GROUP = Record(
    {
        "name": Field(
            Text(values.account, values.ACCOUNT), "The group's name.", example="app", is_needed=True
        ),
        "gid": Field(Whole(0, _MAX_ID), "The group's number.", example=10001, is_needed=True),
        "members": Field(
            ListOf(Text(values.account, values.ACCOUNT), "[app]"),
            "Users that belong to it beside those that have it as primary group.",
            example=["app"],
            default=[],
        ),
    },
    _struct(Group),
)


def _file_rules(entry: FileEntry, given: Mapping[str, Any]) -> Iterator[Refusal]:
    kinds: list[str] = [kind for kind in ("source", "text", "link") if kind in given]
    kinds += ["directory"] if entry.is_directory else []
    if len(kinds) > 1:
        yield Refusal(
            f'"{kinds[0]}" and "{kinds[1]}" exclude each other', "write an entry for each path"
        )
    if not kinds and not ({"owner", "group", "mode"} & given.keys()):
        hint = "give source, text, link or directory, or the owner, group or mode that it shall have"
        yield Refusal("says nothing about the path", hint)
    if entry.link and entry.mode is not None:
        yield Refusal("a link has no mode", "remove mode: Linux looks at the target's")
    if entry.path == "/" and kinds and kinds != ["source"]:
        yield Refusal(f'"/" cannot be made by {kinds[0]}', "a folder can be copied over it with source")


FILE = Record(
    {
        "path": Field(
            Text(values.image_path, values.IMAGE_PATH),
            "Where it is in the image: an absolute path.",
            example="/app",
            is_needed=True,
        ),
        "source": Field(
            Text(values.beside),
            "Copy this file or folder, relative to the spec, with all that it holds.",
            example="./app",
        ),
        "text": Field(
            Text(values.any_text, may_be_empty=True),
            "Make a file with this content.",
            example="hello\n",
        ),
        "link": Field(Text(values.link), "Make a symbolic link to this target.", example="dash"),
        "directory": Field(
            Flag(), "Make an empty directory.", name="is_directory", example=True, default=False
        ),
        "owner": Field(
            Text(values.owner, values.OWNER, numbers=True),
            "The owner by name or number.",
            example="app",
            default="root",
        ),
        "group": Field(
            Text(values.owner, values.OWNER, numbers=True),
            "The group by name or number.",
            example="app",
            default="root",
        ),
        "mode": Field(
            Text(values.mode, values.MODE, raw=True, noun="a mode such as 0644"),
            "Permission bits in octal, with a leading zero. Default: 0644, 0755 for directories and "
            "executable files.",
            example="0644",
        ),
    },
    _struct(FileEntry),
    _file_rules,
)


# ---- the container's configuration ---------------------------------------------------------------


HEALTHCHECK = Record(
    {
        "test": Field(
            Either(
                Text(values.health_command),
                many=ListOf(_WORD, "[/usr/bin/curl, -f, http://localhost/]", values.health_test),
                noun="a list of words or one command line",
            ),
            "The command that must exit with 0. No shell runs it unless the list begins with CMD-SHELL.",
            example=["curl", "-f", "http://localhost/"],
            is_needed=True,
        ),
        "interval": Field(
            Text(values.duration, values.DURATION, explains_numbers=True),
            "Time between two checks.",
            example="30s",
        ),
        "timeout": Field(
            Text(values.duration, values.DURATION, explains_numbers=True),
            "Time after which a check has failed.",
            example="5s",
        ),
        "start-period": Field(
            Text(values.duration, values.DURATION, explains_numbers=True),
            "Time after the start in which failures do not count.",
            name="start_period",
            example="10s",
        ),
        "retries": Field(Whole(1, 1000), "Failures in a row that make it unhealthy.", example=3),
    },
    _struct(Healthcheck),
)


CONFIG = Record(
    {
        "entrypoint": Field(
            _words("[/usr/bin/python3]"),
            "The command that is always run: a list of words, or one line that is split as by a shell.",
            example=["/usr/bin/python3"],
            default=[],
        ),
        "cmd": Field(
            _words("[-m, http.server]"),
            "Arguments that may be replaced when the container is started; the command if there is no "
            "entrypoint.",
            example=["-m", "http.server"],
            default=[],
        ),
        "env": Field(
            texts(values.any_text, values.env_name, values.ENV_NAME, "{NAME: value}"),
            "Environment variables.",
            example={"LANG": "C.UTF-8"},
            default={},
        ),
        "workdir": Field(
            Text(values.image_path, values.IMAGE_PATH),
            "The working directory.",
            example="/app",
            default="/",
        ),
        "user": Field(
            Text(values.user, values.USER, numbers=True),
            "Who the container runs as: USER or USER:GROUP, by name or number.",
            example="app",
            default="root",
        ),
        "ports": Field(
            ListOf(Text(values.port, values.PORT, numbers=True), "[8080]"),
            "Ports the program listens on.",
            example=[8080, "53/udp"],
            default=[],
        ),
        "volumes": Field(
            _paths(values.image_path, "[/var/lib/app]", values.IMAGE_PATH),
            "Directories that hold data of the running container.",
            example=["/var/lib/app"],
            default=[],
        ),
        "labels": Field(
            texts(values.any_text, values.line, r"^[^\n]+$", "{name: value}"),
            "Labels in the image's configuration.",
            example={"com.example.team": "web"},
            default={},
        ),
        "healthcheck": Field(
            HEALTHCHECK, "How an engine learns that the program is well (Docker's own)."
        ),
        "stop-signal": Field(
            Text(values.signal, values.SIGNAL, numbers=True),
            "The signal that asks the program to end.",
            name="stop_signal",
            example="SIGTERM",
        ),
    },
    _struct(Config),
)
