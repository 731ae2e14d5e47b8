"""What is generated when a generated link moves what packages ship (base-files: var/run)."""

from __future__ import annotations

from tests.makers.deb import Dir, Reg, make_deb
from tests.simulators.world import World

MEMBERS = (
    "etc/motd", "home/app", "root/.profile", "run/lock", "run/thing/id", "var/mail", "var/run",
)  # fmt: skip


def test_effects_are_all_there_though_one_of_them_moves_a_packages_folder(empty_world: World) -> None:
    empty_world.add(
        make_deb(
            "base-files",
            "13",
            "all",
            [
                Reg(0o644, "./usr/share/base-files/dot.profile", "profile\n"),
                Reg(0o644, "./usr/share/base-files/profile", "profile\n"),
                Reg(0o644, "./usr/share/base-files/motd", "welcome\n"),
                Dir(0o755, "./home/"),
                Dir(0o755, "./var/run/"),
                Dir(0o755, "./var/lock/"),
            ],
        ),
        make_deb("thing", "1", "amd64", [Reg(0o644, "./var/run/thing/id", "7\n")]),
    )
    empty_world.publish()
    empty_world.spec(
        "packages: [base-files, thing]\naccounts: {users: [{name: app, uid: 10001, home: /home/app}]}\n"
    )
    assert empty_world.run("app.yaml").status == 0
    image = empty_world.image()
    assert [path for path in MEMBERS if path not in image.files()] == []
    assert image.text("etc/motd") == "welcome\n"
    assert image.text("run/thing/id") == "7\n"
    assert image.files()["var/run"].header.linkname == "/run"
