"""Framed output and what is kept of it, without an engine."""

from __future__ import annotations

import asyncio
import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clnrm_nb.executor.backends.docker.log import ServiceLog
from clnrm_nb.executor.backends.docker.stream import STDERR, STDOUT, CappedBytes, FrameStream


def frame(number, data):
    return struct.pack(">BxxxL", number, len(data)) + data


@given(st.lists(st.tuples(st.sampled_from([STDOUT, STDERR]), st.binary(max_size=200_000)), max_size=5))
def test_frames_come_out_as_they_went_in(frames):
    stream = FrameStream(io.BytesIO(b"".join(frame(*each) for each in frames)))

    got = {STDOUT: b"", STDERR: b""}
    for number, data in stream.frames():
        got[number] += data

    assert got == {n: b"".join(data for number, data in frames if number == n) for n in got}


@pytest.mark.parametrize("cut", range(23))
def test_a_stream_knows_whether_it_ended_within_a_frame(cut):
    whole = frame(STDOUT, b"one") + frame(STDERR, b"four")
    stream = FrameStream(io.BytesIO(whole[:cut]))

    list(stream.frames())

    assert stream.broke_off == (cut not in (0, 11, 23))


@given(st.integers(0, 30))
def test_stream_that_breaks_off_gives_what_had_arrived(cut):
    whole = frame(STDOUT, b"first") + frame(STDERR, b"second")

    got = b"".join(data for _, data in FrameStream(io.BytesIO(whole[:cut])).frames())

    assert b"firstsecond".startswith(got)


@given(st.lists(st.binary(max_size=50)), st.integers(0, 200))
def test_cap_keeps_the_beginning_and_counts_the_rest(pieces, limit):
    kept = CappedBytes(limit)
    for piece in pieces:
        kept.add(piece)

    whole = b"".join(pieces)
    assert bytes(kept) == whole[:limit]
    assert kept.dropped_bytes == max(len(whole) - limit, 0)


async def log_of(*pieces):
    log = ServiceLog(asyncio.get_running_loop(), 1000)
    for number, data in pieces:
        log.add(number, data)
    return log


async def test_lines_are_whole_whatever_the_pieces():
    log = await log_of((STDOUT, b"a"), (STDERR, b"x\n"), (STDOUT, b"b\r\nc\nd"))

    assert log.tail(10) == ["x", "ab", "c", "d"]
    log.end()
    assert log.tail(2) == ["c", "d"]
    assert log.tail(0) == []


async def test_bytes_that_are_no_text_are_shown_as_such():
    log = await log_of((STDOUT, b"\xff\xfe\n"))

    assert log.tail(1) == ["��"]


async def test_line_without_end_is_handed_on_in_pieces():
    log = await log_of((STDOUT, b"x" * 40_000))

    pieces = []
    log.listen(pieces.append)
    assert [len(piece) for piece in pieces] == [16_384, 16_384]


async def test_line_that_came_in_pieces_is_read_without_a_seam_at_its_end():
    log = await log_of((STDOUT, b"first\n" + b"x" * 16_380 + b"seam"), (STDOUT, b"less\nlast\n"))

    assert log.tail(5) == ["first", "x" * 16_380 + "seamless", "last"]
    assert log.tail(2)[0].endswith("xseamless")


async def test_listeners_get_every_line_once_and_stop_when_told():
    log = await log_of((STDOUT, b"one\n"))
    first, second = [], []
    end = log.listen(first.append)
    log.add(STDOUT, b"two\n")
    await asyncio.sleep(0)
    log.listen(second.append)
    end()
    log.add(STDOUT, b"three\n")
    await asyncio.sleep(0)

    assert first == ["one", "two"]
    assert second == ["one", "two", "three"]


async def test_one_listener_may_listen_twice():
    log = await log_of()
    heard = []
    end = log.listen(heard.append)
    log.listen(heard.append)
    end()
    log.add(STDOUT, b"x\n")
    await asyncio.sleep(0)

    assert heard == ["x"]
