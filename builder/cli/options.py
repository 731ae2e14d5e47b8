"""Options that several commands share, and what they open: store, mirrors, reporter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Function = TypeVar("Function", bound=Callable[..., Any])


def spec_argument(function: Function) -> Function:
    """Add the argument SPEC: the path of a spec file."""
    return click.argument("spec", type=click.Path(dir_okay=False))(function)


def lock_option(function: Function) -> Function:
    """Add ``--lock FILE``."""
    return click.option(
        "--lock",
        "lock_path",
        type=click.Path(dir_okay=False),
        metavar="FILE",
        help="Lock file (default: beside the spec, its name with .lock.json).",
    )(function)


def archive_options(function: Function) -> Function:
    """Add what decides where packages come from: cache, mirrors, network."""
    for option in (
        click.option(
            "--accept-expired",
            is_flag=True,
            help="Use package lists whose Valid-Until has passed (frozen mirrors).",
        ),
        click.option("--offline", is_flag=True, help="Ask no network; work from the cache alone."),
        click.option(
            "--mirror",
            "mirrors",
            multiple=True,
            metavar="URL|NAME=URL",
            help="Archive root to use instead of the mirrors found; NAME is a repository of the spec.",
        ),
        cache_option,
    ):
        function = option(function)
    return function


def cache_option(function: Function) -> Function:
    """Add ``--cache DIR``."""
    return click.option(
        "--cache",
        "cache",
        type=click.Path(file_okay=False),
        metavar="DIR",
        help="Cache folder (default: $IMGBUILD_CACHE, else ~/.cache/imgbuild).",
    )(function)


def word_options(function: Function) -> Function:
    """Add ``--quiet`` and ``--json``."""
    function = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")(
        function
    )
    return click.option("-q", "--quiet", is_flag=True, help="Print warnings and errors only.")(function)
