"""The locks beside the specs: they answer them, and give the same bytes from two empty caches."""

from __future__ import annotations

import shutil
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from builder.pipeline.locks import stale_reason
from builder.pipeline.project import open_project, read_lock_file
from tests.makers.real_images import ROOT, Workshop
from tests.oracle.apt import mirror

NAMES = ("base", "java", "nginx", "node", "postgres", "python", "static")


def test_every_spec_has_a_lock_and_a_line_in_the_table() -> None:
    folders = sorted(path.name for path in (ROOT / "specs").iterdir() if path.is_dir())
    assert folders == sorted(NAMES)
    table = (ROOT / "specs/README.md").read_text()
    for name in NAMES:
        assert (ROOT / "specs" / name / "spec.lock.json").is_file()
        assert f"| [{name}]({name}/spec.yaml) |" in table


@pytest.mark.parametrize("name", NAMES)
def test_its_lock_answers_the_spec(name: str) -> None:
    project = open_project(str(ROOT / "specs" / name / "spec.yaml"))
    found = read_lock_file(project.lock_path)
    base = read_lock_file(project.base.lock_path) if project.base else None
    assert found is not None
    assert stale_reason(project, found, base) is None
    assert [each.architecture for each in found.lock.architectures] == ["amd64", "arm64"]


@pytest.mark.live
@pytest.mark.slow
def test_static_is_built_of_its_lock_to_the_same_bytes_with_two_empty_caches(tmp_path: Path) -> None:
    _need_files("static")
    shutil.copytree(ROOT / "specs/static", tmp_path / "static")
    lock = (tmp_path / "static/spec.lock.json").read_bytes()
    outputs = [
        Workshop(tmp_path, tmp_path / cache).imgbuild(
            "static/spec.yaml", "--locked", "--arch=amd64", "-o", f"tar:{tmp_path}/{cache}.tar"
        )
        for cache in ("one", "two")
    ]
    assert outputs[0] == outputs[1]
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    assert (tmp_path / "static/spec.lock.json").read_bytes() == lock


def _need_files(name: str) -> None:
    """Skip, naming it, where a file of the lock is on the mirror no more."""
    root = mirror()
    if root is None:
        pytest.skip("the host's apt has no Debian mirror to take packages from")
    found = read_lock_file(str(ROOT / "specs" / name / "spec.lock.json"))
    assert found is not None
    roots = {"main": root, "security": f"{root}-security"}
    for package in found.lock.architectures[0].packages:
        url = f"{roots[package.location]}/{package.filename}"
        try:
            urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=30).close()  # noqa: S310
        except urllib.error.HTTPError as error:
            error.close()
            pytest.skip(f"the mirror has no more, of specs/{name}: {package.filename} ({error.code})")
