"""The text that ``imgbuild init`` writes.

Lines that begin with ``##`` explain; those that begin with ``#`` are keys that are switched off: taking
the ``#`` away switches them on, each group by itself or all together.
"""

from __future__ import annotations

from builder.errors import UsageError
from builder.spec import values
from builder.spec.faults import Refusal
from builder.spec.nodes import kind_of


def starter(image: str, distro: str) -> str:
    """Return a spec for IMAGE of DISTRO (``debian/trixie``), ready to build.

    Raises `UsageError` if one of the two is not what a spec can hold.
    """
    for word, parse, text in (("image", values.image, image), ("distro", values.distro, distro)):
        try:
            parse(text)
        except Refusal as refusal:
            raise UsageError(f"{word}: {refusal.message}", hint=refusal.hint) from refusal
    name = image.rpartition("/")[2].partition(":")[0]
    written = image if kind_of(image) == "text" else f'"{image}"'
    return _TEXT.replace("@IMAGE@", written).replace("@DISTRO@", distro).replace("@NAME@", name)


_TEXT = """\
## What the image @NAME@ is made of. "imgbuild FILE" builds it.
## Lines with "##" explain; take the "#" away from others to use them. All keys: docs/reference/spec.md

image: @IMAGE@
distro: @DISTRO@

## Build for these architectures (default: amd64).
#architectures: [amd64, arm64]

## Packages to install, with all that they depend on.
packages:
  - python3
## A version, or a range of versions:
#  - "ca-certificates>=20230311"
## For some architectures only:
#  - {name: tzdata, architectures: [amd64]}

## Install recommended packages too.
#recommends: true

## Never install these.
#block: [systemd]

## More archives of packages, and the keys that sign them.
#repositories:
#  - name: internal
#    url: https://packages.example.com/debian
#    suite: stable
#    components: [main]
#    keys: [internal.asc]

## Put the layers of another spec first, so that images share them.
#base: ../base/spec.yaml

## Leave out more of the packages' files; "trim: none" keeps documentation and translations.
#exclude: ["/usr/share/common-licenses/**"]
#trim: none

## Do without the effects of maintainer scripts.
#scripts: off

## Users and groups.
#accounts:
#  users:
#    - {name: app, uid: 10001, home: /home/app}
#  groups:
#    - {name: data, gid: 20001, members: [app]}

## Files of your own: text, copies of files or folders beside this spec, links and directories.
files:
  - path: /app/hello.py
    text: print("hello from @NAME@")
#  - {path: /app/static, source: ./static, owner: 10001, mode: 0755}
#  - {path: /usr/local/bin/python, link: /usr/bin/python3}
#  - {path: /var/lib/app, directory: true}

## What the container runs.
config:
  entrypoint: [/usr/bin/python3, /app/hello.py]
#  cmd: [--verbose]
#  env: {LANG: C.UTF-8}
#  workdir: /app
#  user: 10001
#  ports: [8080]
#  volumes: [/var/lib/app]
#  labels: {com.example.team: web}
#  stop-signal: SIGTERM
#  healthcheck:
#    test: [/usr/bin/python3, -c, "print()"]
#    interval: 30s
#    timeout: 5s
#    start-period: 10s
#    retries: 3

## Annotations of the image's manifest.
#annotations: {org.opencontainers.image.title: @NAME@}

## How many layers there may be, and how they are compressed (zstd, gzip, or zstd:LEVEL).
#layers: {max: 20}
#compression: zstd:9
"""
