"""mmdebstrap on the same packages from the same mirror, to a tar."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from benchmarks.process import Run, measure
from benchmarks.workshop import ARCHITECTURE, SUITE, Image, Workshop


def is_there() -> bool:
    """Whether mmdebstrap is installed."""
    return shutil.which("mmdebstrap") is not None


def extract(workshop: Workshop, image: Image, packages: Sequence[str]) -> Run:
    """Run ``mmdebstrap --variant=extract`` for PACKAGES with the sources that IMAGE has."""
    archive = workshop.archive(image)
    keyring = workshop.folder / "keyring.pgp"
    keyring.write_bytes(archive.distro.keyring)
    lines = [
        f"deb [signed-by={keyring}] {archive.mirrors[source.repository, source.location].urls[0]} "
        f"{source.suite} {' '.join(source.components)}"
        for source in archive.sources
    ]
    sources = workshop.folder / "sources.list"
    sources.write_text("\n".join(lines) + "\n")
    command = [
        "mmdebstrap", "--quiet", "--variant=extract", f"--architectures={ARCHITECTURE}",
        f"--include={','.join(packages)}", SUITE, "rival.tar", str(sources),
    ]  # fmt: skip
    return measure(command, workshop.folder)
