"""The small languages inside a spec's strings: references, paths, durations, commands.

Each function takes the text of a value and returns what it means, or raises `Refusal` with a phrase
about it. The patterns stand beside the functions: the JSON Schema shows them to editors.
"""

from __future__ import annotations

import re

from builder.spec.faults import Refusal, listed
from builder.spec.model import Compression, Distro, PackageRequest

# distribution/reference, which every registry and client follows: lower-case path components.
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_HOST_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_HOST = rf"(?:{_HOST_LABEL}(?:\.{_HOST_LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
REFERENCE = rf"^(?:{_HOST}/)?{_COMPONENT}(?:/{_COMPONENT})*(?::{_TAG})?$"

DISTRO_NAME = r"^[a-z][a-z0-9-]*$"
SUITE = r"^[A-Za-z0-9][A-Za-z0-9.+~_-]*(?:/[A-Za-z0-9][A-Za-z0-9.+~_-]*)*$"
DISTRO = r"^[a-z][a-z0-9-]*(?:/[A-Za-z0-9][A-Za-z0-9.+~_/-]*)?$"
COMPONENT = r"^[A-Za-z0-9][A-Za-z0-9.+_-]*(?:/[A-Za-z0-9][A-Za-z0-9.+_-]*)*$"
SNAPSHOT = r"^[0-9]{8}T[0-9]{6}Z$|^[0-9]{4}-?[0-9]{2}-?[0-9]{2}$"
URL = r"^https?://[^\s/?#]+(?:/[^\s?#]*)?$"
REPOSITORY_NAME = r"^[a-z0-9][a-z0-9.+-]*$"
ARCHITECTURE = r"^[a-z0-9][a-z0-9_-]*$"
PACKAGE = r"^[A-Za-z0-9][^\n]*$"
PACKAGE_NAME = r"^[A-Za-z0-9][A-Za-z0-9.+_:~-]*$"
ACCOUNT = r"^[a-z_][a-z0-9_.-]{0,31}$"
IMAGE_PATH = r"^/"
USER = r"^[A-Za-z0-9_][A-Za-z0-9_.-]*(?::[A-Za-z0-9_][A-Za-z0-9_.-]*)?$"
OWNER = r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$"
ENV_NAME = r"^[^=\s]+$"
PORT = r"^[0-9]+(?:/(?:tcp|udp|sctp))?$"
SIGNAL = r"^SIG[A-Z0-9]+(?:[+-][0-9]+)?$"
DURATION = r"^(?:[0-9]+(?:\.[0-9]+)?(?:h|ms|m|s|us|ns))+$"
MODE = r"^0o?[0-7]{3,4}$"
COMPRESSION = r"^(?:zstd(?::[0-9]+)?|gzip(?::[0-9]+)?)$"

MAX_COMPRESSION_LEVEL = {"zstd": 19, "gzip": 9}
_UNITS = {"h": 3600 * 10**9, "m": 60 * 10**9, "s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}


def text(value: str) -> str:
    """Any text that is not empty."""
    if not value:
        raise Refusal("is empty", "give it a value, or remove it")
    return value


def any_text(value: str) -> str:
    """Any text, the empty one too."""
    return value


def line(value: str) -> str:
    """Text of one line."""
    if "\n" in value:
        raise Refusal("must be a single line")
    return text(value)


def image(value: str) -> str:
    """Return a registry reference with an optional tag."""
    if "@" in value:
        raise Refusal(
            f'"{value}" holds a digest', "an image that is yet to be built has none: remove it"
        )
    if "://" in value:
        raise Refusal(f'"{value}" is a URL', "write registry.example.com/team/app without the scheme")
    if not re.match(REFERENCE, value):
        hint = "lower-case letters, digits and single separators: registry.example.com/team/app:1.0"
        raise Refusal(f'"{value}" is not an image reference', hint)
    if len(value.rsplit(":", 1)[0] if ":" in value.rsplit("/", 1)[-1] else value) > 255:
        raise Refusal("the name is longer than 255 characters, which registries refuse")
    return value


def distro(value: str) -> Distro:
    """Return the distribution of ``debian/trixie`` or ``debian``."""
    if re.match(r"^[a-z][a-z0-9-]*:", value):
        raise Refusal(f'"{value}" is not a distribution', f"write {value.replace(':', '/', 1)}")
    name, separator, suite_text = value.partition("/")
    if not re.match(DISTRO_NAME, name) or (separator and not re.match(SUITE, suite_text)):
        raise Refusal(f'"{value}" is not a distribution', "write NAME/SUITE, such as debian/trixie")
    return Distro(name=name, suite=suite_text)


def distro_name(value: str) -> str:
    """Return the name of a distribution."""
    return _matched(DISTRO_NAME, value, "the name of a distribution")


def distro_suite(value: str) -> str:
    """Return a suite of a distribution."""
    return _matched(SUITE, value, "a suite")


def component(value: str) -> str:
    """Return a component of a suite: ``main``, ``non-free-firmware``, ``updates/main``."""
    return _matched(COMPONENT, value, "a component")


def repository_name(value: str) -> str:
    """Return the user's name for a repository."""
    hint = "begin with a lower-case letter or a digit, then a-z, 0-9, ., + and -"
    return _matched(REPOSITORY_NAME, value, "a repository's name", hint)


def architecture(value: str) -> str:
    """Return an architecture in the distribution's words."""
    return _matched(ARCHITECTURE, value, "an architecture", "write amd64, not linux/amd64")


def snapshot(value: str) -> str:
    """Return the moment of a dated archive as ``20250520T000000Z``."""
    if not re.match(SNAPSHOT, value):
        raise Refusal(f'"{value}" is not a moment', "write 20250520T000000Z or 2025-05-20")
    digits = re.sub(r"[^0-9]", "", value)
    year, month, day = int(digits[:4]), int(digits[4:6]), int(digits[6:8])
    clock = digits[8:] or "000000"
    days = 29 if month == 2 and year % 4 == 0 and (year % 100 or year % 400 == 0) else 28
    last = {2: days, 4: 30, 6: 30, 9: 30, 11: 30}.get(month, 31)
    if (
        not (1 <= month <= 12 and 1 <= day <= last)
        or clock[:2] > "23"
        or max(clock[2:4], clock[4:]) > "59"
    ):
        raise Refusal(f'"{value}" is no date of the calendar')
    return f"{digits[:8]}T{clock}Z"


def url(value: str) -> str:
    """Return the URL of an archive root without its last slash."""
    if not re.match(URL, value):
        hint = "write the root of the archive, such as http://archive.example.com/debian"
        raise Refusal(f'"{value}" is not an http or https URL', hint)
    if "@" in value.split("/")[2]:
        hint = (
            "a spec is committed and shared: give the URL with its login as a mirror on the command line"
        )
        raise Refusal("holds a user name or password", hint)
    return value.rstrip("/")


def suite(value: str) -> str:
    """Return a suite: a folder below ``dists/``, or a flat path that ends in a slash."""
    inner = value.removesuffix("/").removeprefix("./") if value.endswith("/") else value
    is_flat_root = value in ("./", "/")
    if not is_flat_root and (not re.match(SUITE, inner) or ".." in inner.split("/")):
        hint = "write the suite's name, or for a flat repository its folder with a slash at the end: ./"
        raise Refusal(f'"{value}" is not a suite', hint)
    return "./" if is_flat_root else value


def beside(value: str) -> str:
    """Return a path of the host, relative to the spec's folder."""
    if value.startswith(("/", "~")):
        hint = "write it relative to the folder of the spec, so that it means the same everywhere"
        raise Refusal(f'"{value}" is not a relative path', hint)
    if "\\" in value:
        raise Refusal(f'"{value}" holds a backslash', "write folders with /")
    return line(value)


def image_path(value: str) -> str:
    """Return a clean absolute path inside the image."""
    if not value.startswith("/"):
        raise Refusal(
            f'"{value}" is not absolute', f"write /{value}" if value else "write it from the root"
        )
    parts = value[1:].removesuffix("/").split("/")
    if parts == [""]:
        return "/"
    if bad := next((part for part in parts if part in ("", ".", "..")), None):
        raise Refusal(f'"{value}" holds "{bad}"', "write the path as it is in the image")
    if "" in parts:
        raise Refusal(f'"{value}" holds "//"', "write the path as it is in the image")
    if any(part.startswith(".wh.") for part in parts):
        hint = "in a layer such a name would delete what stands below it"
        raise Refusal(f'"{value}" holds a name that begins with ".wh."', hint)
    if any(len(part.encode()) > 255 for part in parts) or len(value.encode()) > 4095 or "\n" in value:
        raise Refusal("is no path that a Linux file system can hold")
    return "/" + "/".join(parts)


def link(value: str) -> str:
    """Return the target of a symbolic link, as it stands."""
    if len(value.encode()) > 4095:
        raise Refusal("is longer than a link can be")
    return line(value)


def pattern(value: str) -> str:
    """Return a pattern of paths of the image: ``*``, ``?``, ``[…]`` and ``**`` for any depth."""
    if value.startswith("!"):
        raise Refusal(
            f'"{value}": there is no pattern that takes back another', "name only what is to go"
        )
    if not value.startswith("/"):
        anywhere = "" if value.startswith("**") else f" or /**/{value}"
        raise Refusal(f'"{value}" is not absolute', f"write /{value}{anywhere}")
    if re.search(r"\{[^}]*,", value):
        raise Refusal(f'"{value}": braces have no meaning in a pattern', "write one pattern for each")
    if any(part in ("", ".", "..") for part in value[1:].split("/")):
        hint = (
            f"write {value.rstrip('/')}/** for all that a folder holds" if value.endswith("/") else None
        )
        raise Refusal(f'"{value}" is not a clean path', hint)
    if any("**" in part and part != "**" for part in value[1:].split("/")):
        raise Refusal(f'"{value}": ** must be a whole part of the path', "write /**/ for any depth")
    return value


def package(value: str) -> PackageRequest:
    """Return a request; only its name is looked at, the version part is the format's."""
    if value != value.strip():
        raise Refusal(f'"{value}" begins or ends with a blank')
    if not re.match(PACKAGE, value):
        raise Refusal(f'"{value}" is not a package', "write a name, or a name and versions: nginx>=1.22")
    return PackageRequest(text=value)


def package_name(value: str) -> str:
    """Return the name of a package, without a version."""
    if re.match(r"^[^<>=~!(\s]+\s*[<>=(~!]", value):
        raise Refusal(f'"{value}" holds a version', "write the name alone: all its versions are meant")
    if "*" in value or "?" in value:
        raise Refusal(f'"{value}" is a pattern', "write out each name")
    return _matched(PACKAGE_NAME, value, "the name of a package")


def request_name(value: str) -> str:
    """Return the name at the beginning of a request."""
    found = re.match(r"[^<>=~!(\s:]+", value)
    return found[0] if found else value


def account(value: str) -> str:
    """Return the name of a user or group (useradd(8), with dots)."""
    hint = "begin with a lower-case letter or _, then a-z, 0-9, _, . and -, 32 at most"
    return _matched(ACCOUNT, value, "an account's name", hint)


def gecos(value: str) -> str:
    """Return the comment of passwd(5), which ends at a colon."""
    if ":" in value or "\n" in value:
        raise Refusal("holds a colon or a line break, which end the field in /etc/passwd")
    return value


def account_path(value: str) -> str:
    """Return a path that can stand in passwd(5)."""
    if ":" in value:
        raise Refusal(f'"{value}" holds a colon, which ends the field in /etc/passwd')
    return image_path(value)


def owner(value: str) -> str:
    """Return the name or number of one account."""
    if ":" in value:
        raise Refusal(f'"{value}" names two', 'write the group apart: "group:"')
    return _matched(OWNER, value, "the name or number of an account")


def user(value: str) -> str:
    """Return who the container runs as (image-spec config.md, ``User``)."""
    return _matched(USER, value, "a user", "write app, 10001, app:group or 10001:10001")


def env_name(value: str) -> str:
    """Return the name of an environment variable."""
    return _matched(ENV_NAME, value, "the name of a variable")


def port(value: str) -> str:
    """Return a port as image-spec's ``ExposedPorts`` writes it: ``80/tcp``."""
    hint = "write 80, 80/tcp or 53/udp"
    if re.match(r"^[0-9.\[\]:]+:[0-9]+", value):
        hint = (
            f"write {value.rpartition(':')[2]}; the host's port is chosen when the container is started"
        )
    elif re.match(r"^[0-9]+-[0-9]+", value):
        hint = "name each port"
    number, _, protocol = _matched(PORT, value, "a port", hint).partition("/")
    if number != str(int(number[:9])) or not 1 <= int(number) <= 65535:
        raise Refusal(f'"{value}" is not a port', "ports go from 1 to 65535")
    return f"{number}/{protocol or 'tcp'}"


def signal(value: str) -> str:
    """Return the signal that stops the container: a name, or a number from 1 to 64."""
    if re.match(r"^[0-9]{1,2}$", value) and 1 <= int(value) <= 64:
        return str(int(value))
    if re.match(SIGNAL, "SIG" + value.upper()) and not value.upper().startswith("SIG"):
        raise Refusal(f'"{value}" is not a signal', f"write SIG{value.upper()}")
    return _matched(SIGNAL, value, "a signal", "write a name such as SIGTERM")


def duration(value: str) -> int:
    """Return nanoseconds of ``30s``, ``1m30s``, ``500ms`` (Go's spelling, which Docker reads)."""
    if not re.match(DURATION, value):
        hint = "write a number and a unit: 30s, 1m30s, 500ms"
        if re.match(r"^[0-9]+$", value):
            hint = f"write {value}s if seconds are meant"
        raise Refusal(f'"{value}" is not a duration', hint)
    total = 0
    for number, unit in re.findall(r"([0-9.]+)(h|ms|m|s|us|ns)", value):
        whole, _, fraction = number.partition(".")
        total += (
            int(whole) * _UNITS[unit]
            + int((fraction or "0").ljust(18, "0")[:18]) * _UNITS[unit] // 10**18
        )
    # config.Config of the Docker engine: 0 inherits, and under a millisecond is refused.
    if not 10**6 <= total < 2**63:
        raise Refusal(f'"{value}" is no duration that an engine takes', "at least 1ms")
    return total


def mode(value: str) -> int:
    """Return permission bits of ``0755`` or ``0o755``; always octal, whatever a YAML reader thinks."""
    if not re.match(MODE, value):
        hint = "write octal digits with a zero in front: 0644, 0755, 01777"
        if re.match(r"^[0-7]{3}$", value):
            hint = f"write 0{value}: modes are octal and begin with 0"
        raise Refusal(f'"{value}" is not a mode', hint)
    return int(value.removeprefix("0o"), 8)


def compression(value: str) -> Compression:
    """Return ``zstd``, ``gzip`` or either with a level: ``zstd:19``."""
    name, separator, level_text = value.partition(":")
    highest = MAX_COMPRESSION_LEVEL.get(name)
    if highest is None:
        hint = f"write {listed(sorted(MAX_COMPRESSION_LEVEL, reverse=True))}, or with a level: zstd:19"
        raise Refusal(f'"{value}" is not a compression', hint)
    if not separator:
        return Compression(algorithm=name)
    if not re.match(r"^[0-9]{1,3}$", level_text) or not 1 <= int(level_text) <= highest:
        raise Refusal(f'"{level_text}" is not a level of {name}', f"levels go from 1 to {highest}")
    return Compression(algorithm=name, level=int(level_text))


def command(value: str, shell: str = '"/bin/sh", "-c"') -> tuple[str, ...]:
    """Return the words of a command line, split as sh does; there is no shell to do more.

    SHELL is what a list must begin with to have one.
    """
    import shlex

    try:
        words = tuple(shlex.split(value))
    except ValueError as error:
        raise Refusal(f'"{value}" has a quote that is not closed', "write a list of words") from error
    if not words:
        raise Refusal("is empty", "give it a value, or remove it")
    # What quotes protect from a shell is the program's; within double quotes a shell still expands.
    bare = re.sub(r"'[^']*'|\\.", "", value)
    expansion = re.search(r"[$`]", bare)
    operator = re.search(r"&&|\|\||>>|[;|&<>]", re.sub(r'"[^"]*"', "", bare))
    found = operator or expansion
    if found:
        hint = f"no shell runs it; to have one, write [{shell}, {_quoted(value)}]"
        raise Refusal(f'"{found[0]}" means something to a shell only', hint)
    return words


def health_command(value: str) -> tuple[str, ...]:
    """Return the command line of a health check as words, ``CMD`` first."""
    return ("CMD", *command(value, '"CMD-SHELL"'))


def health_test(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return WORDS with Docker's first word (``CMD``, ``CMD-SHELL``, ``NONE``), ``CMD`` by default."""
    if not words or not words[0]:
        raise Refusal("is empty", 'write a command, or ["NONE"] to switch off that of a base')
    if words[0] not in ("CMD", "CMD-SHELL", "NONE"):
        return ("CMD", *words)
    if words[0] == "CMD-SHELL" and len(words) != 2:
        raise Refusal("CMD-SHELL takes one command line", 'write ["CMD-SHELL", "…"]')
    if words[0] == "CMD" and len(words) < 2:
        raise Refusal("CMD takes a command", 'write ["CMD", PROGRAM, …]')
    if words[0] == "NONE" and len(words) != 1:
        raise Refusal("NONE stands alone", 'write ["NONE"]')
    return words


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _matched(expression: str, value: str, noun: str, hint: str | None = None) -> str:
    if not re.match(expression, value) or value.endswith("\n"):
        raise Refusal(f'"{value}" is not {noun}', hint)
    return value
