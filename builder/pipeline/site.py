"""The values that pass between the stages of one build."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from builder.layers.parts import Fragment, Layer
from builder.lock.model import LockedPackage
from builder.packages import Control, Identity
from builder.pipeline.archive import Archive
from builder.pipeline.ports import Ports
from builder.pipeline.project import Project
from builder.tree.entries import NewFile
from builder.tree.merge import Tree

ImageTree: TypeAlias = Tree[Identity, Control]


class Site(NamedTuple):
    """What is the same for every architecture of one project.

    plan   the lock's layer plan; ``epoch`` what mtimes are clamped to and ``created`` says
    """

    project: Project
    archive: Archive
    ports: Ports
    plan: tuple[tuple[str, ...], ...]
    epoch: int


class BuiltArchitecture(NamedTuple):
    """The outcome, and what a spec on top of it needs to know; all with the base's included.

    fragments  of all packages; ``generated`` files, later ones win
    """

    architecture: str
    layers: tuple[Layer, ...]
    tree: ImageTree
    packages: tuple[LockedPackage, ...]
    fragments: tuple[Fragment, ...]
    generated: tuple[NewFile, ...]


class Generated(NamedTuple):
    """What no package ships.

    files          made for the whole image
    local          the spec's own files and folders, as fragments
    has_databases  whether each package's own database files are in its layer
    """

    files: tuple[NewFile, ...]
    local: tuple[Fragment, ...]
    has_databases: bool
