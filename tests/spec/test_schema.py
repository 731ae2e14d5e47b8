"""The JSON Schema and the starter: both go by the grammar, and so does the reader."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from builder.errors import SpecError, UsageError
from builder.lock.schema import json_schema as lock_schema
from builder.spec import json_schema, load_spec, starter
from tests.spec.test_loader import FULL

_ROOT = Path(__file__).parents[2]
_SPEC_SCHEMA: dict[str, Any] = json.loads(json.dumps(json_schema()))
_VALIDATOR = jsonschema.Draft202012Validator(_SPEC_SCHEMA)


def _is_loaded(document: object) -> bool:
    try:
        load_spec(json.dumps(document, ensure_ascii=False), "web.yaml")
    except SpecError:
        return False
    return True


@pytest.mark.parametrize("schema", [json_schema(), lock_schema()])
def test_the_schema_is_one(schema: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize(("name", "schema"), [("spec", json_schema()), ("lock", lock_schema())])
def test_the_stored_schema_is_the_present_one(name: str, schema: dict[str, Any]) -> None:
    stored = (_ROOT / "specs" / f"{name}.schema.json").read_text()
    assert stored == json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _properties(schema: dict[str, Any], path: str = "") -> list[tuple[str, dict[str, Any]]]:
    found = []
    for key, inner in schema.get("properties", {}).items():
        place = f"{path}.{key}".removeprefix(".")
        found += [(place, inner), *_properties(inner, place)]
    inners = [schema["items"]] if "items" in schema else []
    for inner in [*inners, *schema.get("anyOf", [])]:
        found += _properties(inner, path)
    return found


@pytest.mark.parametrize(
    ("path", "schema"), _properties(_SPEC_SCHEMA), ids=lambda value: str(value)[:40]
)
def test_every_key_has_a_description_and_its_examples_hold(path: str, schema: dict[str, Any]) -> None:
    assert schema["description"].endswith(".")
    for example in [*schema.get("examples", []), *([schema["default"]] if "default" in schema else [])]:
        jsonschema.Draft202012Validator(schema).validate(example)


def test_schema_and_reader_take_a_spec_with_every_key() -> None:
    # As an editor reads it: YAML 1.2 has no octal 0755, no yes and no off, and dates are text.
    text = re.sub(r"0o?[0-7]{3,4}(?=\})", '"0755"', FULL).replace("yes", "true").replace("off", '"off"')
    document = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 - BaseLoader makes text of everything
    document["recommends"] = True
    document["layers"]["max"] = 30
    for user in document["accounts"]["users"]:
        user["uid"] = user["gid"] = 7
    document["accounts"]["groups"][0]["gid"] = 8
    document["files"][3]["directory"] = True
    document["config"]["healthcheck"]["retries"] = 3
    _VALIDATOR.validate(document)
    assert _is_loaded(document)


# ---- structural faults: both see them ------------------------------------------------------------

_GOOD: dict[str, Any] = {
    "image": "registry.example.com/team/app:1",
    "distro": {"name": "debian", "suite": "trixie", "components": ["main"], "snapshot": "2025-05-20"},
    "repositories": [
        {"name": "a", "url": "https://a.test/d", "suite": "./", "keys": ["a.asc"]},
        {"name": "b", "url": "https://b.test/d", "suite": "s", "components": ["m"], "trust": "unsigned"},
    ],
    "architectures": ["amd64"],
    "base": "../base.yaml",
    "packages": ["python3", {"name": "nginx>=1.22", "architectures": ["amd64"]}],
    "recommends": True,
    "block": ["systemd"],
    "exclude": ["/usr/share/doc/**"],
    "trim": "none",
    "scripts": "off",
    "accounts": {
        "users": [{"name": "app", "uid": 1, "gid": 2, "groups": ["x"], "home": "/h", "gecos": "g"}],
        "groups": [{"name": "g", "gid": 7, "members": ["app"]}],
    },
    "files": [
        {"path": "/a", "source": "a", "owner": "app", "group": 5, "mode": "0644"},
        {"path": "/b", "text": "x"},
        {"path": "/c", "link": "b"},
        {"path": "/d", "directory": True},
    ],
    "config": {
        "entrypoint": ["/bin/x"],
        "cmd": "a b",
        "env": {"A": "x", "B": 5},
        "workdir": "/",
        "user": "app",
        "ports": [80, "53/udp"],
        "volumes": ["/v"],
        "labels": {"l": "x"},
        "healthcheck": {"test": ["x"], "interval": "30s", "retries": 2},
        "stop-signal": "SIGTERM",
    },
    "annotations": {"a": "b"},
    "layers": {"max": 5},
    "compression": "zstd:3",
}

_Place = tuple[str | int, ...]


def _places(value: Any, place: _Place = ()) -> list[_Place]:
    children: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        children = list(value.items())
    elif isinstance(value, list):
        children = list(enumerate(value))
    return [place, *(found for key, item in children for found in _places(item, (*place, key)))]


def _parent(document: Any, place: _Place) -> Any:
    for key in place[:-1]:
        document = document[key]
    return document


@given(
    st.sampled_from(_places(_GOOD)[1:]), st.sampled_from([1.5, None, True, [], {}, [[]], {"q": 1}, -1])
)
def test_reader_and_schema_agree_on_values_of_another_type(place: _Place, value: Any) -> None:
    document = copy.deepcopy(_GOOD)
    _parent(document, place)[place[-1]] = value
    is_valid = _VALIDATOR.is_valid(document)
    if not is_valid:
        assert not _is_loaded(document)
    elif not _is_loaded(document):
        # Only what the schema cannot know: empty commands, and what holds between values.
        assert value in ([], {}, True)


@given(st.sampled_from(_places(_GOOD)), st.sampled_from(["quux", "nam", "Image", "x-y"]))
def test_reader_and_schema_agree_on_unknown_keys(place: _Place, key: str) -> None:
    document = copy.deepcopy(_GOOD)
    holder = document if not place else _parent(document, place)[place[-1]]
    if isinstance(holder, dict):
        holder[key] = "x"
        assert _VALIDATOR.is_valid(document) == _is_loaded(document)
        assert _is_loaded(document) == (place[-1:] in (("env",), ("labels",), ("annotations",)))


@given(st.sampled_from([place for place in _places(_GOOD) if place and isinstance(place[-1], str)]))
def test_a_key_that_the_schema_requires_is_missed_by_the_reader(place: _Place) -> None:
    document = copy.deepcopy(_GOOD)
    del _parent(document, place)[place[-1]]
    if not _VALIDATOR.is_valid(document):
        assert not _is_loaded(document)
    elif not _is_loaded(document):
        # Keys that another key asks for.
        assert place[-1] in ("keys", "components", "trust", "source", "text", "link", "directory")


def test_the_good_document_is_good() -> None:
    _VALIDATOR.validate(_GOOD)
    assert _is_loaded(_GOOD)


# ---- the starter ---------------------------------------------------------------------------------

_STARTER = starter("registry.example.com/team/web", "debian/trixie")


def test_the_starter_builds_as_it_stands() -> None:
    spec = load_spec(_STARTER, "spec.yaml").spec
    assert spec.image == "registry.example.com/team/web"
    assert [request.text for request in spec.packages] == ["python3"]
    assert spec.config.entrypoint == ("/usr/bin/python3", "/app/hello.py")
    active = [line for line in _STARTER.splitlines() if line.strip() and not line.startswith("#")]
    assert len(active) <= 10


def _groups(text: str) -> list[tuple[int, int]]:
    """Return where each run of switched-off lines begins and ends."""
    lines = text.splitlines()
    is_off = [line.startswith("#") and not line.startswith("##") for line in lines]
    begins = [n for n, off in enumerate(is_off) if off and not (n and is_off[n - 1])]
    return [(n, next((m for m in range(n, len(lines)) if not is_off[m]), len(lines))) for n in begins]


@pytest.mark.parametrize("group", _groups(_STARTER))
def test_each_group_of_the_starter_can_be_switched_on_by_itself(group: tuple[int, int]) -> None:
    lines = _STARTER.splitlines()
    for number in range(*group):
        lines[number] = lines[number].removeprefix("#")
    spec = load_spec("\n".join(lines), "spec.yaml").spec
    assert spec != load_spec(_STARTER, "spec.yaml").spec


def test_all_of_the_starter_can_be_switched_on_and_shows_every_key() -> None:
    text = re.sub(r"(?m)^#(?!#)", "", _STARTER)
    document = yaml.safe_load(text.replace("off", "'off'").replace("0755", "'0755'"))
    assert load_spec(text, "spec.yaml").spec.groups
    _VALIDATOR.validate(document)
    assert document.keys() == _SPEC_SCHEMA["properties"].keys()
    assert document["config"].keys() == _SPEC_SCHEMA["properties"]["config"]["properties"].keys()


def test_the_starter_takes_names_that_yaml_reads_as_something_else() -> None:
    assert load_spec(starter("8080", "debian/trixie"), "spec.yaml").spec.image == "8080"


def test_the_starter_refuses_what_a_spec_refuses() -> None:
    with pytest.raises(UsageError) as caught:
        starter("Web", "debian/trixie")
    assert caught.value.render() == (
        'error: image: "Web" is not an image reference\n\n'
        "hint: lower-case letters, digits and single separators: registry.example.com/team/app:1.0"
    )
    with pytest.raises(UsageError, match='distro: "debian:trixie" is not a distribution'):
        starter("web", "debian:trixie")
