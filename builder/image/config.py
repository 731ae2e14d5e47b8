r"""The exact bytes of an image's config (OCI image-spec 1.1, config.md).

Keys stand in the order in which Go's ``specs-go/v1`` writes them, compact; nothing varies but with
the arguments. ``Healthcheck`` is Docker's addition (Docker image spec 1.2, ``config``): engines that
do not know it must ignore it. An image with no ``PATH`` of its own gets `DEFAULT_PATH`.

>>> from builder.spec.model import Config
>>> config_bytes(Config(cmd=("sh",)), Platform(os="linux", architecture="arm", variant="v7"), (), created=0)
b'{"created":"1970-01-01T00:00:00Z","architecture":"arm","os":"linux","variant":"v7","config":{"Env":["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],"Cmd":["sh"]},"rootfs":{"type":"layers","diff_ids":[]},"history":[]}'
"""  # noqa: E501 - the doctest shows one line of JSON

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec

from builder.digests import Digest
from builder.spec.model import Config, Healthcheck, Pairs

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Platform(msgspec.Struct, frozen=True, kw_only=True):
    """What an image runs on, in Go's words: ``linux``, ``arm64``, ``v8`` (image-index.md)."""

    os: str
    architecture: str
    variant: str = ""

    def fields(self) -> dict[str, str]:
        """Return the JSON object."""
        fields = {"architecture": self.architecture, "os": self.os}
        return {**fields, "variant": self.variant} if self.variant else fields

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))


class LayerLike(Protocol):
    """What an image asks of a layer (`builder.layers.parts.Layer` is one)."""

    @property
    def digest(self) -> Digest: ...  # noqa: D102
    @property
    def size(self) -> int: ...  # noqa: D102
    @property
    def diff_id(self) -> Digest: ...  # noqa: D102
    @property
    def media_type(self) -> str: ...  # noqa: D102
    @property
    def packages(self) -> tuple[str, ...]: ...  # noqa: D102


def config_bytes(
    config: Config, platform: Platform, layers: Sequence[LayerLike], *, created: int
) -> bytes:
    """Return the config of an image of LAYERS, bottom first; CREATED is the epoch."""
    when = timestamp(created)
    return compact_json(
        {
            "created": when,
            **platform.fields(),
            "config": _run(config),
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
            "history": [_history(layer, when) for layer in layers],
        }
    )


def inherit(base: Config, own: Config) -> Config:
    """Return the config of an image with a base: its OWN values over the BASE's.

    Variables and labels are merged by name, ports and volumes joined; an own entrypoint takes the
    base's cmd away too, which was meant for the base's entrypoint (as Dockerfile's ENTRYPOINT does).
    """
    return Config(
        entrypoint=own.entrypoint or base.entrypoint,
        cmd=own.cmd or (() if own.entrypoint else base.cmd),
        env=_joined(base.env, own.env),
        workdir=own.workdir or base.workdir,
        user=own.user or base.user,
        ports=tuple(sorted({*base.ports, *own.ports})),
        volumes=tuple(sorted({*base.volumes, *own.volumes})),
        labels=_joined(base.labels, own.labels),
        healthcheck=own.healthcheck or base.healthcheck,
        stop_signal=own.stop_signal or base.stop_signal,
    )


def timestamp(seconds: int) -> str:
    """Return SECONDS since 1970 as RFC 3339 in UTC."""
    return datetime.fromtimestamp(seconds, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def compact_json(value: Mapping[str, Any]) -> bytes:
    """Return VALUE as compact UTF-8 JSON, keys in their order."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _joined(base: Pairs, own: Pairs) -> Pairs:
    return tuple(sorted({**dict(base), **dict(own)}.items()))


def _run(config: Config) -> dict[str, Any]:
    """Return the ``config`` object: only what has a value."""
    env = dict(config.env)
    if "PATH" not in env:
        env = {"PATH": DEFAULT_PATH, **env}
    ports = {port if "/" in port else f"{port}/tcp" for port in config.ports}
    fields: dict[str, Any] = {
        "User": config.user,
        "ExposedPorts": {port: {} for port in sorted(ports)},
        "Env": [f"{name}={value}" for name, value in env.items()],
        "Entrypoint": config.entrypoint,
        "Cmd": config.cmd,
        "Healthcheck": _healthcheck(config.healthcheck) if config.healthcheck else None,
        "Volumes": {volume: {} for volume in sorted(config.volumes)},
        "WorkingDir": config.workdir,
        "Labels": dict(sorted(config.labels)),
        "StopSignal": config.stop_signal,
    }
    return {name: value for name, value in fields.items() if value}


def _healthcheck(check: Healthcheck) -> dict[str, Any]:
    fields = {
        "Test": check.test,
        "Interval": check.interval,
        "Timeout": check.timeout,
        "StartPeriod": check.start_period,
        "Retries": check.retries,
    }
    return {name: value for name, value in fields.items() if value}


def _history(layer: LayerLike, when: str) -> dict[str, str]:
    count = len(layer.packages)
    what = f"{count} package{'s' if count > 1 else ''}" if count else "files of the image"
    entry = {"created": when, "created_by": f"imgbuild: {what}"}
    return {**entry, "comment": " ".join(layer.packages)} if count else entry
