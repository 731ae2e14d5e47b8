"""Which changes of a spec make a lock stale: those the choice of packages depends on, and no others."""

from __future__ import annotations

import itertools

import pytest

from builder.lock import answers
from builder.spec import load_spec

_SPEC = """\
image: web
distro: {name: debian, suite: trixie, components: [main], snapshot: 20250520T000000Z}
repositories:
  - {name: internal, url: "https://p.example.com/d", suite: ./, keys: [a.asc]}
architectures: [amd64, arm64]
base: ../base/spec.yaml
packages: [python3, "nginx>=1.22", {name: tzdata, architectures: [amd64]}]
recommends: false
block: [systemd, udev]
"""

_RELATED = {
    "name: debian": "name: ubuntu",
    "suite: trixie": "suite: forky",
    "components: [main]": "components: [main, contrib]",
    "20250520": "20250521",
    "p.example.com": "q.example.com",
    "suite: ./": "suite: x/",
    "keys: [a.asc]": "keys: [b.asc]",
    "keys: [a.asc]}": "trust: unsigned}",
    "[amd64, arm64]": "[amd64]",
    "../base/spec.yaml": "../base/other.yaml",
    "packages: [python3": "packages: [python3, curl",
    "nginx>=1.22": "nginx>=1.23",
    "architectures: [amd64]}]": "architectures: [arm64]}]",
    "recommends: false": "recommends: true",
    "block: [systemd, udev]": "block: [systemd]",
}
_UNRELATED = {
    "image: web": "image: other",
    "snapshot: 20250520T000000Z": "snapshot: 2025-05-20, mirror: http://m.example.com",
    "[amd64, arm64]": "[arm64, amd64]",
    "[python3, ": '["python3" ,',
    'python3, "nginx>=1.22"': '"nginx >= 1.22", python3',
    "[systemd, udev]": "[udev, systemd]",
    "recommends: false\n": "",
    "base: ": "exclude: [/x]\ntrim: none\nscripts: off\nbase: ",
    "recommends: ": "files: [{path: /x, text: x}]\naccounts: {users: [{name: a, uid: 7}]}\nrecommends: ",
    "block: ": "config: {cmd: [x]}\nannotations: {a: b}\nblock: ",
    "packages: ": "layers: {max: 5}\ncompression: gzip\npackages: ",
}


def _answers(text: str) -> str:
    return answers(load_spec(text, "web.yaml").spec)


def _changed(old: str, new: str) -> str:
    assert old in _SPEC
    return _SPEC.replace(old, new, 1)


@pytest.mark.parametrize(("old", "new"), _RELATED.items())
def test_what_the_choice_depends_on_changes_the_answer(old: str, new: str) -> None:
    assert _answers(_changed(old, new)) != _answers(_SPEC)


@pytest.mark.parametrize(("old", "new"), _UNRELATED.items())
def test_what_comes_after_the_choice_does_not(old: str, new: str) -> None:
    assert _answers(_changed(old, new)) == _answers(_SPEC)


def test_no_two_specs_have_one_answer() -> None:
    found = [_answers(_changed(old, new)) for old, new in _RELATED.items()]
    assert all(one != other for one, other in itertools.combinations(found, 2))


def test_a_blocked_package_is_not_a_requested_one() -> None:
    one = _answers("distro: debian\npackages: [a]\n")
    other = _answers("distro: debian\nblock: [a]\n")
    assert one != other
