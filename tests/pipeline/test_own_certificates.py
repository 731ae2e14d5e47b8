"""Certificates of the spec join the bundle, wherever the spec has them from."""

from __future__ import annotations

import pytest

from tests.makers.deb import Reg, make_deb
from tests.simulators.world import World

BUNDLE = "etc/ssl/certs/ca-certificates.crt"
PLACE = "/usr/local/share/ca-certificates"


@pytest.fixture
def certified(empty_world: World) -> World:
    packaged = Reg(0o644, "./usr/share/ca-certificates/mozilla/a.crt", "packaged\n")
    empty_world.add(make_deb("ca-certificates", "1", "all", [packaged]))
    empty_world.publish()
    return empty_world


@pytest.mark.parametrize(
    "files",
    [
        f'{{path: {PLACE}/my.crt, text: "mine"}}',
        f"{{path: {PLACE}/my.crt, source: ./my.crt}}",
        f"{{path: {PLACE}, source: ./certificates}}",
    ],
)
def test_certificates_of_the_spec_come_last_in_the_bundle(certified: World, files: str) -> None:
    certified.write("my.crt", "mine")
    certified.write("certificates/my.crt", "mine")
    certified.spec(f"packages: [ca-certificates]\nfiles: [{files}]\n")
    assert certified.run("app.yaml").status == 0
    image = certified.image()
    assert image.text(BUNDLE) == "packaged\nmine\n"
    assert image.files()["etc/ssl/certs/my.pem"].header.linkname == f"{PLACE}/my.crt"


def test_the_specs_own_bundle_is_kept(certified: World) -> None:
    certified.spec(f'packages: [ca-certificates]\nfiles: [{{path: /{BUNDLE}, text: "all mine"}}]\n')
    assert certified.run("app.yaml").status == 0
    assert certified.image().text(BUNDLE) == "all mine"
