"""References of images as layouts and engines write them."""

from __future__ import annotations


def full_reference(reference: str) -> str:
    """Return REFERENCE with its tag: ``app`` → ``app:latest``, ``host:5000/app:1`` as it is."""
    return reference if ":" in reference.rpartition("/")[2] else f"{reference}:latest"


def engine_name(reference: str) -> str:
    """Return the name engines know REFERENCE by: ``app`` → ``docker.io/library/app:latest``.

    The first part is a host if it has a dot or a colon or is ``localhost`` (distribution/reference,
    `splitDockerDomain`).
    """
    name = full_reference(reference)
    host, slash, _ = name.partition("/")
    if slash and ("." in host or ":" in host or host == "localhost"):
        return name
    return f"docker.io/{name}" if slash else f"docker.io/library/{name}"
