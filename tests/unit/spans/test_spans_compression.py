"""Unpacking: every form in any pieces, and every limit."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clnrm_nb.spans.compression import Body, EncodingError, TooLargeError, TruncatedError

MEGABYTE = 1024 * 1024


def raw_deflate(data):
    return zlib.compress(data, wbits=-15)


PACKERS = {
    "gzip": ("gzip", gzip.compress),
    "deflate": ("deflate", zlib.compress),
    "raw deflate": ("deflate", raw_deflate),
    "identity": ("", bytes),
}


def unpacked(data, encoding="gzip", *, piece=None, max_bytes=20 * MEGABYTE, max_wire_bytes=8 * MEGABYTE):
    body = Body(encoding, max_bytes=max_bytes, max_wire_bytes=max_wire_bytes)
    for first in range(0, len(data), piece or len(data) or 1):
        body.feed(data[first : first + (piece or len(data))])
    return body.finish()


@pytest.mark.parametrize("packer", PACKERS)
@given(data=st.binary(max_size=3000), repeat=st.integers(1, 300), piece=st.integers(1, 5000))
def test_whatever_was_packed_comes_out_whatever_the_pieces(packer, data, repeat, piece):
    encoding, pack = PACKERS[packer]
    whole = data * repeat

    assert unpacked(pack(whole), encoding, piece=piece) == whole


@pytest.mark.parametrize("size", [256 * 1024 - 1, 256 * 1024, 256 * 1024 + 1, 512 * 1024])
def test_a_body_that_ends_with_a_full_step_is_whole(size):
    assert len(unpacked(raw_deflate(bytes(size)), "deflate", piece=1)) == size


@pytest.mark.parametrize("packer", ["gzip", "deflate", "raw deflate"])
@pytest.mark.parametrize(
    ("unpacked_bytes", "reason"), [(5 * MEGABYTE, "more than 100 times"), (900_000, "larger than 500000")]
)
def test_a_bomb_is_refused_long_before_it_is_unpacked(packer, unpacked_bytes, reason):
    encoding, pack = PACKERS[packer]
    body = Body(encoding, max_bytes=500_000 if "500000" in reason else 20 * MEGABYTE, max_wire_bytes=MEGABYTE)

    with pytest.raises(TooLargeError, match=reason):
        body.feed(pack(bytes(unpacked_bytes)))
    assert len(body) < 1.3 * MEGABYTE


@pytest.mark.parametrize(
    "encoding", ["gzip, gzip", "gzip,identity", "zstd", "br", "snappy", "x", "deflate;q=1"]
)
def test_nested_and_unknown_encodings_are_refused_by_name(encoding):
    with pytest.raises(EncodingError, match=encoding):
        Body(encoding, max_bytes=1, max_wire_bytes=1)


@pytest.mark.parametrize("piece", [1, 7, None])
def test_padding_after_gzip_is_no_part_of_it(piece):
    assert unpacked(gzip.compress(b"a" * 50) + bytes(20), piece=piece) == b"a" * 50


@pytest.mark.parametrize("piece", [1, 7, None])
@pytest.mark.parametrize("packer", ["gzip", "deflate", "raw deflate"])
def test_garbage_after_the_end_is_refused(packer, piece):
    encoding, pack = PACKERS[packer]

    with pytest.raises(TruncatedError, match=r"damaged|ends too early|more after the end"):
        unpacked(pack(b"a" * 50) + b"garbage", encoding, piece=piece)


def test_a_body_of_a_hundred_thousand_empty_members_is_refused_early():
    body = Body("gzip", max_bytes=MEGABYTE, max_wire_bytes=8 * MEGABYTE)

    with pytest.raises(TruncatedError, match="more after the end"):
        body.feed(gzip.compress(b"") * 100_000)


def test_a_few_members_are_one_body():
    assert unpacked(gzip.compress(b"ab") + gzip.compress(b"") + gzip.compress(b"c"), piece=3) == b"abc"


@pytest.mark.parametrize("cut", [1, 5, 20])
@pytest.mark.parametrize("packer", ["gzip", "deflate", "raw deflate"])
def test_a_body_that_ends_too_early_is_refused(packer, cut):
    encoding, pack = PACKERS[packer]

    with pytest.raises(TruncatedError, match="ends too early"):
        unpacked(pack(bytes(range(250)) * 4)[:-cut], encoding)
