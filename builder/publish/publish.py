"""`publish`: one image to one destination, whatever its kind."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from builder.errors import PublishError, UsageError
from builder.image.image import Image
from builder.layers.parts import Layer
from builder.publish import layout
from builder.publish.destinations import Destination
from builder.publish.streams import Blobs
from builder.reporting import Reporter, silent


def publish(
    image: Image[Layer],
    destination: Destination,
    store: Blobs,
    *,
    stdout: BinaryIO | None = None,
    report: Reporter = silent,
) -> None:
    """Write IMAGE to DESTINATION; STORE holds the chunks of its layers.

    Whatever goes wrong, the destination is what it was. `PublishError` for a place that cannot take
    it, `StoreError` for chunks that are not what they should be, `UsageError` for what no place of
    that kind can hold.
    """
    check([each.platform.architecture for each in image.images], destination, stdout)
    if destination.kind == "oci":
        layout.write_layout(image, destination.place, store)
    elif destination.kind == "rootfs":
        from builder.publish.rootfs import write_rootfs

        write_rootfs(image.images[0], destination.place, store, report)
    else:
        _write_file(image, destination, store, stdout)


def check(
    architectures: Sequence[str], destination: Destination, stdout: BinaryIO | None = None
) -> None:
    """Refuse with `UsageError` what DESTINATION cannot hold; to be asked before the work begins."""
    if destination.holds_one_architecture and len(architectures) > 1:
        choices = " or ".join(f"--arch {each}" for each in architectures)
        raise UsageError(
            f"{destination.kind} holds one architecture, the image has {', '.join(architectures)}",
            where=str(destination),
            hint=f"add {choices}",
        )
    if destination.is_stdout and (stdout is None or stdout.isatty()):
        raise UsageError(
            "an archive is not written to a terminal",
            where=str(destination),
            hint=f"redirect standard output, or write {destination.kind}:FILE",
        )


def _write_file(
    image: Image[Layer], destination: Destination, store: Blobs, stdout: BinaryIO | None
) -> None:
    from builder.publish import archives, flat

    with _opened(destination, stdout) as stream:
        if destination.kind == "oci-archive":
            archives.write_oci_archive(image, stream, store)
        elif destination.kind == "docker-archive":
            archives.write_docker_archive(image, stream, store)
        else:
            flat.write_tar(image.images[0], destination.place, stream, store)


@contextlib.contextmanager
def _opened(destination: Destination, stdout: BinaryIO | None) -> Iterator[BinaryIO]:
    """Give the stream of a destination of kind FILE."""
    from builder.publish import placing

    if not destination.is_stdout:
        with placing.new_file(destination.place) as stream:
            yield stream
        return
    assert stdout is not None
    try:
        yield stdout
        stdout.flush()
    except BrokenPipeError:
        # Python flushes once more at exit and would complain again: nothing is left to flush to.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stdout.fileno())
        raise PublishError("its reader has gone", where="standard output") from None
    except OSError as error:
        raise placing.failed(error, "standard output") from error
