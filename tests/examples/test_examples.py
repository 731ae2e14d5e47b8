"""Every example is built of real packages, started, and does what its README says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.makers.real_images import ROOT, Workshop

LIVE = (pytest.mark.live, pytest.mark.oracle, pytest.mark.slow)
LESSONS = ("hello", "multi-arch", "nginx", "python-web-app", "shared-base", "static-files")


def live(test: object) -> object:
    for mark in LIVE:
        test = mark(test)
    return test


def blob(layout: Path, digest: str) -> dict[str, object]:
    found: dict[str, object] = json.loads((layout / "blobs/sha256" / digest[7:]).read_bytes())
    return found


def manifest(layout: Path) -> dict[str, object]:
    """Return what the layout's one entry leads to."""
    (entry,) = json.loads((layout / "index.json").read_bytes())["manifests"]
    return blob(layout, entry["digest"])


def test_each_folder_is_a_lesson_that_is_tested_and_told_of() -> None:
    folders = sorted(path.name for path in (ROOT / "examples").iterdir() if path.is_dir())
    assert folders == sorted(LESSONS)
    table = (ROOT / "examples/README.md").read_text()
    for lesson in LESSONS:
        assert (ROOT / "examples" / lesson / "README.md").is_file()
        assert f"[{lesson}]({lesson}/README.md)" in table


@live
def test_hello_prints_its_greeting(examples: Workshop) -> None:
    image = examples.build("hello")
    assert re.fullmatch(r"hello@sha256:[0-9a-f]{64}", image.reference)
    assert image.container.run() == "Hello, world!\n"


@live
def test_static_files_serves_its_folder_and_is_well(examples: Workshop, tmp_path: Path) -> None:
    image = examples.build("static-files")
    with image.container.serving(log=tmp_path / "log", status=None) as server:
        page = server.fetch("http://127.0.0.1:8080/")
        assert page == (ROOT / "examples/static-files/www/index.html").read_text()
        server.healthcheck()
    assert sum(1 for each in (image.layout / "blobs/sha256").iterdir()) == 4, "two layers and two JSON"


@live
def test_python_web_app_greets_and_is_well(examples: Workshop, tmp_path: Path) -> None:
    image = examples.build("python-web-app")
    with image.container.serving(log=tmp_path / "log") as server:
        assert server.fetch("http://127.0.0.1:8000/?name=you") == "Hello, you!\n"
        assert json.loads(server.fetch("http://127.0.0.1:8000/health")) == {"status": "well"}
        server.healthcheck()


@live
def test_nginx_serves_without_root(examples: Workshop, tmp_path: Path) -> None:
    image = examples.build("nginx")
    with image.container.serving(log=tmp_path / "log") as server:
        page = server.fetch("http://127.0.0.1:8080/")
        assert page == (ROOT / "examples/nginx/www/index.html").read_text()
        assert server.fetch("http://127.0.0.1:8080/health") == "well\n"
        assert "GET /health HTTP/1.1" in server.log()
        assert "[alert]" not in server.log()


@live
def test_two_apps_share_the_layers_of_their_base(examples: Workshop, tmp_path: Path) -> None:
    images = {name: examples.build(f"shared-base/{name}") for name in ("base", "api", "worker")}
    layers = {
        name: [layer["digest"] for layer in manifest(image.layout)["layers"]]  # type: ignore[attr-defined]
        for name, image in images.items()
    }
    below = layers["base"]
    assert layers["api"][: len(below)] == layers["worker"][: len(below)] == below
    assert not set(layers["api"][len(below) :]) & set(layers["worker"][len(below) :])
    assert images["worker"].container.run() == "sum: 6\nlargest: 9\n"
    with images["api"].container.serving(log=tmp_path / "log") as server:
        assert json.loads(server.fetch("http://127.0.0.1:8000/"))["python"].startswith("3.13.")


@live
def test_multi_arch_is_one_index_of_two_images(examples: Workshop) -> None:
    layout = examples.folder / "multi-arch/both.oci"
    examples.imgbuild("multi-arch/spec.yaml", "-o", f"oci:{layout}")
    entries = manifest(layout)["manifests"]
    assert [entry["platform"] for entry in entries] == [  # type: ignore[attr-defined]
        {"architecture": "amd64", "os": "linux"},
        {"architecture": "arm64", "os": "linux", "variant": "v8"},
    ]
    image = examples.build("multi-arch")
    assert image.exists("/usr/sbin/rdmsr")
    assert image.container.run() == "Hello, world!\n"
