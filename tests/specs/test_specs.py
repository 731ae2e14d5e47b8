"""Every image we stand behind is built of today's packages, started, and does its job."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.makers.real_images import ROOT, Workshop

pytestmark = [pytest.mark.live, pytest.mark.oracle, pytest.mark.slow]

POSTGRES = {"POSTGRES_PASSWORD": "it's a secret"}
TABLE_OF_TLS = """
import ssl, sqlite3, os, zoneinfo
print(len(ssl.create_default_context().get_ca_certs()) > 100)
print(sqlite3.connect(":memory:").execute("select 6 * 7").fetchone()[0])
print(zoneinfo.ZoneInfo("Europe/Berlin"), os.getuid(), os.getcwd())
"""


def test_static_has_no_program_and_no_library(specs: Workshop) -> None:
    root = specs.build("static").container.root
    programs = [path for path in root.rglob("*") if path.is_file() and path.stat().st_mode & 0o111]
    assert [path.relative_to(root).as_posix() for path in programs] == ["etc/update-motd.d/10-uname"]
    assert not [path for path in root.rglob("*.so*") if path.name != "ld.so.conf.d"]


def test_a_static_program_on_static_has_its_user_zones_and_certificates(specs: Workshop) -> None:
    (specs.folder / "on-static").mkdir()
    (specs.folder / "on-static/spec.yaml").write_text(
        "distro: debian/trixie\narchitectures: [amd64, arm64]\n"
        "base: ../static/spec.yaml\npackages: [busybox-static]\n"
    )
    container = specs.build("on-static").container
    asked = "whoami; pwd; date +%Z; TZ=Europe/Paris date +%Z"
    said = container.run("/usr/bin/busybox", "sh", "-c", asked).splitlines()
    assert said[:3] == ["nonroot", "/home/nonroot", "UTC"]
    assert said[3] in ("CET", "CEST")
    bundle = container.run("/usr/bin/busybox", "cat", "/etc/ssl/certs/ca-certificates.crt")
    assert bundle.count("BEGIN CERTIFICATE") > 100


def test_base_has_what_a_linked_program_needs_and_no_shell(specs: Workshop) -> None:
    image = specs.build("base")
    assert not image.exists("/bin/sh")
    assert not image.exists("/usr/bin/bash")
    assert "OpenSSL 3" in image.container.run("/usr/bin/openssl", "version")
    verified = image.container.run(
        "/usr/bin/openssl", "verify", "-CAfile", "/etc/ssl/certs/ca-certificates.crt",
        "/etc/ssl/certs/ISRG_Root_X1.pem",
    )  # fmt: skip
    assert verified == "/etc/ssl/certs/ISRG_Root_X1.pem: OK\n"


def test_python_has_tls_databases_zones_and_makes_venvs(specs: Workshop) -> None:
    container = specs.build("python").container
    assert container.run("/usr/bin/python", "-c", TABLE_OF_TLS) == (
        "True\n42\nEurope/Berlin 65532 /home/nonroot\n"
    )
    container.run("/usr/bin/python3", "-m", "venv", "/tmp/venv")
    assert "python 3.13" in container.run("/tmp/venv/bin/pip", "--version")


def test_node_runs_javascript_with_certificates(specs: Workshop) -> None:
    said = specs.build("node").container.run(
        "/usr/bin/node",
        "-e",
        "console.log(process.version.split('.')[0], process.getuid(),"
        " require('tls').rootCertificates.length > 100, new Intl.NumberFormat('de').format(1234.5))",
    )
    assert said == "v20 65532 true 1.234,5\n"


def test_java_starts_and_sees_its_modules(specs: Workshop) -> None:
    container = specs.build("java").container
    assert "openjdk 21" in container.run("/usr/bin/java", "--version")
    assert "java.net.http" in container.run("/usr/bin/java", "--list-modules")


def test_java_makes_its_key_store_by_the_command_of_the_readme(specs: Workshop) -> None:
    container = specs.build("java").container
    store = container.root / "etc/ssl/certs/java/cacerts"
    assert not store.exists(), "then specs/README.md need not tell how it is made"
    jar = "/usr/share/ca-certificates-java/ca-certificates-java.jar"
    assert jar in (ROOT / "specs/README.md").read_text()
    store.parent.mkdir(exist_ok=True)
    pems = sorted(path.name for path in (container.root / "etc/ssl/certs").glob("*.pem"))
    asked = "".join(f"+/etc/ssl/certs/{name}\n" for name in pems)
    container.as_root().run("/usr/bin/java", "-jar", jar, "-storepass", "changeit", text=asked)
    listed = container.run(
        "/usr/lib/jvm/default-java/bin/keytool", "-list", "-cacerts", "-storepass", "changeit"
    )
    counted = re.search(r"contains (\d+) entries", listed)
    assert counted is not None
    assert len(pems) - 5 <= int(counted[1]) <= len(pems), "the jar passes over names that are not ASCII"


def test_nginx_serves_its_page_without_root(specs: Workshop, tmp_path: Path) -> None:
    with specs.build("nginx").container.serving(log=tmp_path / "log") as server:
        page = server.fetch("http://127.0.0.1:8080/")
        assert page == (ROOT / "specs/nginx/index.html").read_text()
        assert "[alert]" not in server.log()
        assert "GET / HTTP/1.1" in server.log()


def test_postgres_refuses_to_start_without_a_password(specs: Workshop) -> None:
    assert specs.build("postgres").container.run(status=1) == (
        "start-postgres: no cluster in /var/lib/postgresql/data, and POSTGRES_PASSWORD is not set\n"
        "hint: set POSTGRES_PASSWORD to the password that user postgres is to have\n"
    )


def test_postgres_makes_its_cluster_answers_and_keeps_its_data(specs: Workshop, tmp_path: Path) -> None:
    container = specs.build("postgres").container
    psql = ("/usr/lib/postgresql/17/bin/psql", "--no-psqlrc", "-Atc")
    with container.serving(log=tmp_path / "first", environment=POSTGRES) as server:
        assert server.run(*psql, "select 1") == "1\n"
        summed = server.run(
            *psql, "set jit = on; set jit_above_cost = 0; select sum(x) from generate_series(1, 1000) x"
        )
        assert summed == "SET\nSET\n500500\n"
        server.run(*psql, "create table kept as select 7 as number")
    with container.serving(log=tmp_path / "second") as server:
        assert server.run(*psql, "select number from kept") == "7\n"
        over_tcp = "host=127.0.0.1 user=postgres password='it\\'s a secret'"
        assert server.run(*psql, "select current_user", "-d", over_tcp) == "postgres\n"
    hba = (container.root / "var/lib/postgresql/data/pg_hba.conf").read_text()
    assert "trust" not in [line.split()[-1] for line in hba.splitlines() if line and line[0] != "#"]


@pytest.mark.parametrize("name", ["node"])
def test_it_is_built_for_arm64_too(specs: Workshop, name: str) -> None:
    layout = specs.folder / name / "arm64.oci"
    root = specs.folder / name / "arm64"
    specs.imgbuild(f"{name}/spec.yaml", "--arch=arm64", "-o", f"oci:{layout}", "-o", f"rootfs:{root}")
    head = (root / "usr/bin/node").read_bytes()[:20]
    assert (head[:4], int.from_bytes(head[18:20], "little")) == (b"\x7fELF", 183)  # EM_AARCH64
