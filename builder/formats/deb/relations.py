"""Relations between packages as control files and specs write them (deb-control(5), policy §7.1).

>>> print(*parse_dependencies("libc6 (>= 2.36), awk | mawk:any", "depends"), sep=", ")
libc6 (>= 2.36), awk | mawk:any
>>> print(parse_request("nginx>=1.22"))
nginx (>= 1.22)
"""

from __future__ import annotations

import re
from functools import lru_cache

from builder.formats.deb import version as versions
from builder.packages import Conflict, Dependency, Provide, Relation

# Restrictions by architecture ("[amd64]") and build profile ("<!nocheck>") belong to source
# packages; a package list has none, and what a strange tool left there decides nothing.
_RELATION = re.compile(
    r"""\s* (?P<name>[A-Za-z0-9][A-Za-z0-9+.\-_]*) (?: : (?P<qualifier>[A-Za-z0-9][A-Za-z0-9\-]*) )?
        \s* (?: \( \s* (?P<operator><<|<=|=|>=|>>|<|>) \s* (?P<version>[^\s()]+) \s* \) )?
        \s* (?: \[ [^\]]* \] )? (?: \s* < [^>]* > )* \s*""",
    re.VERBOSE,
)
_REQUEST = re.compile(
    r"""\s* (?P<name>[^\s<>=!~:/()]+) (?: : (?P<qualifier>[^\s<>=!~:/()]*) )? \s*
        (?: (?P<open>\()? \s* (?P<operator>[<>=!~]+) \s* (?P<version>[^\s()<>=]*) \s* (?(open)\)) )?
        \s*""",
    re.VERBOSE,
)
_NAME = re.compile(r"[a-z0-9][a-z0-9+.\-]*")

# "<" and ">" are what dpkg once called "<=" and ">=" (deb-control(5)); it still reads them so.
_OPERATORS = {"<": "<=", ">": ">=", None: ""}
_STRICT = frozenset({"<<", "<=", "=", ">=", ">>"})
_ADVICE = {
    "==": 'write "="',
    ">": 'write ">>" for newer or ">=" for newer or equal',
    "<": 'write "<<" for older or "<=" for older or equal',
    "~=": 'write a pattern such as "=1.22.*"',
    "=~": 'write a pattern such as "=1.22.*"',
}


@lru_cache(maxsize=1 << 14)
def parse_dependencies(text: str, kind: str) -> tuple[Dependency, ...]:
    """Parse the value of ``Depends``, ``Pre-Depends`` or ``Recommends`` (KIND in lower case)."""
    return tuple(
        Dependency(kind, tuple([_relation(word) for word in group.split("|")]))
        for group in _groups(text)
    )


@lru_cache(maxsize=1 << 14)
def parse_relations(text: str) -> tuple[Relation, ...]:
    """Parse a list without alternatives, such as the value of ``Replaces``."""
    return tuple([_relation(word) for word in _groups(text)])


def parse_conflicts(text: str, kind: str) -> tuple[Conflict, ...]:
    """Parse the value of ``Conflicts`` or ``Breaks`` (KIND in lower case)."""
    return tuple([Conflict(kind, relation) for relation in parse_relations(text)])


@lru_cache(maxsize=1 << 14)
def parse_provides(text: str) -> tuple[Provide, ...]:
    """Parse the value of ``Provides``; only ``=`` gives a provide a version (policy §7.5).

    What names another operator is left out, as apt does (deblistparser.cc `ParseProvides`).
    """
    relations = parse_relations(text)
    return tuple([Provide(r.name, r.version) for r in relations if r.operator in ("", "=")])


def parse_request(text: str) -> Relation:
    """Parse an entry of a spec: ``nginx``, ``nginx>=1.22``, ``nginx=1.22.*``, ``nginx (<< 2)``.

    `ValueError`, with a phrase about TEXT, for anything else.
    """
    match = _REQUEST.fullmatch(text)
    if match is None:
        raise ValueError(_request_fault(text))
    name, qualifier, operator, version = match.group("name", "qualifier", "operator", "version")
    if not _NAME.fullmatch(name):
        raise ValueError(f'"{name}" is no name of a package')
    if name.endswith("-"):
        raise ValueError(f'"{name}" ends in "-": to keep a package out, list it under block')
    if qualifier == "":
        raise ValueError(f'nothing follows the colon of "{name}:"')
    if operator is None:
        return Relation(name, "", "", qualifier or "")
    if operator not in _STRICT:
        advice = _ADVICE.get(operator, "the operators are <<, <=, =, >= and >>")
        raise ValueError(f'"{operator}" does not compare versions: {advice}')
    if not version:
        raise ValueError(f'no version follows "{operator}"')
    fault = versions.fault(version.replace("*", "0") if operator == "=" else version)
    if fault:
        raise ValueError(f'"{version}" is no version: {fault}')
    return Relation(name, operator, version, qualifier or "")


def _request_fault(text: str) -> str:
    if not text.strip():
        return "the name of a package is missing"
    if "/" in text:
        return f'"{text.strip()}" names a suite: a request takes a version, such as "=1.22.*"'
    if "," in text or "|" in text:
        return f'"{text.strip()}" is more than one package: give each its own entry'
    return f'"{text.strip()}" is no request such as "nginx" or "nginx>=1.22"'


def _groups(text: str) -> list[str]:
    # Empty groups: a trailing comma is common and harmless.
    return [group for group in text.split(",") if group and not group.isspace()]


@lru_cache(maxsize=1 << 16)
def _relation(text: str) -> Relation:
    match = _RELATION.fullmatch(text)
    if match is None:
        raise ValueError(f"{text.strip()!r} is no relation to a package")
    name, qualifier, operator, version = match.group("name", "qualifier", "operator", "version")
    return Relation(name, _OPERATORS.get(operator, operator), version or "", qualifier or "")
