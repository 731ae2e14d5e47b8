"""Chunks: joined, read back by other programs, and the same bytes on every machine."""

from __future__ import annotations

import gzip
import hashlib
import io
import itertools
import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.layers.compression import LEVELS, compress, compressor, decompress
from builder.spec.model import Compression

# 3 MiB that compress a little, with matches near and far.
SAMPLE = b"".join(
    hashlib.sha256(b"%d" % (at % 20_000)).digest() + b"text %d\n" % at for at in range(70_000)
)

# Made on x86-64, and the same from the arm64 wheels of zlib-ng 1.1.0 and zstandard 0.25.0 under qemu. A
# change here changes every layer's digest.
GOLDEN: dict[tuple[str, int | None], str] = {
    ("zstd", None): "10b769af22097f35",
    ("zstd", 1): "87f83ef1d7785ae7",
    ("zstd", 9): "8792fd569aa20de9",
    ("zstd", 19): "3985cc098a3dcf14",
    ("gzip", None): "5210f0bd0b0d37ac",
    ("gzip", 1): "88dd30679498676d",
    ("gzip", 3): "5743d175699cc1ef",
    ("gzip", 9): "3d1b02703679e4e1",
}

ALGORITHMS = sorted(LEVELS)


@pytest.mark.parametrize(("algorithm", "level"), sorted(GOLDEN, key=str))
def test_the_bytes_are_those_of_every_other_machine(algorithm: str, level: int | None) -> None:
    chunk = compress(SAMPLE, Compression(algorithm=algorithm, level=level))
    assert hashlib.sha256(chunk).hexdigest()[:16] == GOLDEN[algorithm, level]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@given(st.lists(st.integers(0, 1_500_000), max_size=6))
@settings(max_examples=20, deadline=None)
def test_how_the_input_is_cut_does_not_show(algorithm: str, cuts: list[int]) -> None:
    compression = Compression(algorithm=algorithm, level=1)
    one = compressor(compression)
    places = [0, *sorted(cuts), len(SAMPLE)]
    pieces = [one.write(SAMPLE[a:b]) for a, b in itertools.pairwise(places)]
    assert b"".join(pieces) + one.finish() == compress(SAMPLE, compression)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@given(st.lists(st.binary(max_size=3000), min_size=1, max_size=4))
@settings(deadline=None)
def test_joined_chunks_are_their_joined_contents(algorithm: str, contents: list[bytes]) -> None:
    joined = b"".join(compress(content, Compression(algorithm=algorithm)) for content in contents)
    assert b"".join(decompress(io.BytesIO(joined), algorithm)) == b"".join(contents)
    if algorithm == "gzip":
        assert gzip.decompress(joined) == b"".join(contents)


@pytest.mark.oracle
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_tool_of_the_format_reads_joined_chunks(algorithm: str) -> None:
    if not shutil.which(algorithm):
        pytest.skip(f"MISSING TOOL: {algorithm} (Debian package {algorithm})")
    chunk = compress(SAMPLE, Compression(algorithm=algorithm))
    done = subprocess.run([algorithm, "-dc"], input=chunk + chunk, capture_output=True, check=True)
    assert done.stdout == SAMPLE + SAMPLE


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_damaged_and_cut_off_chunks_are_found(algorithm: str) -> None:
    chunk = bytearray(compress(SAMPLE[:5000], Compression(algorithm=algorithm)))
    chunk[len(chunk) // 2] ^= 1
    with pytest.raises(ValueError, match=f"^damaged {algorithm} data: "):
        list(decompress(io.BytesIO(bytes(chunk)), algorithm))


@pytest.mark.parametrize(
    ("compression", "message"),
    [
        (Compression(algorithm="lz4"), 'unknown compression "lz4"'),
        (Compression(level=20), "zstd level is 20, and must be between 1 and 19"),
        (Compression(algorithm="gzip", level=0), "gzip level is 0, and must be between 1 and 9"),
    ],
)
def test_what_there_is_not_is_refused(compression: Compression, message: str) -> None:
    with pytest.raises(ValueError, match=r"level|unknown") as caught:
        compressor(compression)
    assert str(caught.value) == message
