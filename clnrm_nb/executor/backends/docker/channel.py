"""One attached shell, and what it is told and answers: a command's round trip without the engine's exec.

A thread reads the shell's two streams for as long as it lives; the event loop writes to it, one snippet at a
time. A snippet has ended when its token was seen on both streams, and then all its output is here, even where
a process it left in the background holds the streams open. What arrives while nothing runs belongs to nobody.
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from clnrm_nb.executor.backends.docker.snippet import ENDED
from clnrm_nb.executor.backends.docker.stream import STDERR, STDOUT, CappedBytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from clnrm_nb.executor.backends.docker.stream import FrameStream

__all__ = ["Answer", "Channel", "new_token"]

# Writing more than this may have to wait for the shell to read, and then not on the event loop.
_WRITTEN_AT_ONCE_BYTES: Final = 32 * 1024


def new_token() -> bytes:
    """What marks the end of one snippet and is in no program's output."""
    return b"clnrm:" + secrets.token_hex(16).encode() + b":"


class _Side:
    """One stream of an answer: output until the token of the end, which may come in pieces."""

    def __init__(self, token: bytes, kept: CappedBytes) -> None:
        self.has_ended = False
        self.records: list[bytes] = []
        self._token = token
        self._kept = kept
        self._rest = b""
        self._is_in_record = False

    def add(self, data: bytes) -> None:
        """Take in a piece of the stream."""
        self._rest += data
        while not self.has_ended and self._advance():
            pass

    def _advance(self) -> bool:
        """Get past the next token or record; false where more must come first."""
        if self._is_in_record:
            record, newline, rest = self._rest.partition(b"\n")
            if newline:
                self._is_in_record, self._rest = False, rest
                self.records.append(record)
                self.has_ended = record.startswith(ENDED)
            return bool(newline)
        output, token, rest = self._rest.partition(self._token)
        if not token:
            # The beginning of a token may be the end of what is here.
            rest = output[max(len(output) - len(self._token) + 1, 0) :]
            output = output[: len(output) - len(rest)]
        self._kept.add(output)
        self._rest, self._is_in_record = rest, bool(token)
        return bool(token)

    def flush(self) -> None:
        """Nothing more will come: what looked like the beginning of a token was output."""
        if not self._is_in_record and not self.has_ended:
            self._kept.add(self._rest)
            self._rest = b""


class Answer:
    """What a shell answers to one snippet.

    Parameters
    ----------
    stdout, stderr : CappedBytes
        Filled as output arrives.
    """

    def __init__(self, token: bytes, stdout: CappedBytes, stderr: CappedBytes) -> None:
        self._loop = asyncio.get_running_loop()
        self._sides = {STDOUT: _Side(token, stdout), STDERR: _Side(token, stderr)}
        self.ended: asyncio.Future[bool] = self._loop.create_future()
        """True at the end of the snippet, false at the end of the shell."""

    def add(self, number: int, data: bytes) -> bool:
        """Take in a piece, in the reading thread; whether the answer is complete."""
        side = self._sides.get(number)
        if side is not None:
            side.add(data)
        return all(each.has_ended for each in self._sides.values())

    def finish(self, *, is_whole: bool) -> None:
        """Wake who waits, from any thread."""
        for side in self._sides.values():
            side.flush()
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._set, is_whole)

    def _set(self, is_whole: bool) -> None:  # noqa: FBT001  # The loop hands on no keywords.
        if not self.ended.done():
            self.ended.set_result(is_whole)

    @property
    def records(self) -> list[bytes]:
        """What the shell itself said on stdout, the end last."""
        return self._sides[STDOUT].records

    @property
    def exit_code(self) -> int:
        """Of a snippet that has ended."""
        return int(self.records[-1].removeprefix(ENDED).split()[0])

    @property
    def is_held(self) -> bool:
        """Whether something that the command left behind may still write to the streams."""
        return not self.records[-1].endswith(b" 0")


class Channel:
    """A shell that waits for snippets.

    Parameters
    ----------
    stream : FrameStream
        Attached to its stdin, stdout and stderr. Nobody else reads it.
    """

    def __init__(self, stream: FrameStream) -> None:
        self.is_set_up = False
        self.has_ended = False
        self._stream = stream
        self._answer: Answer | None = None

    def read(self) -> None:
        """Read until the shell ends, in this thread."""
        try:
            for number, data in self._stream.frames():
                answer = self._answer
                if answer is not None and answer.add(number, data):
                    self._answer = None
                    answer.finish(is_whole=True)
        finally:
            self.has_ended = True
            self._stop_answering()
            self._stream.close()

    async def ask(
        self, snippet: Callable[[bytes], bytes], stdout: CappedBytes, stderr: CappedBytes
    ) -> Answer | None:
        """Have a snippet run; ``None`` if the shell ended before it did.

        Parameters
        ----------
        snippet : callable
            Given the token, returns the text.
        """
        token = new_token()
        answer = self._answer = Answer(token, stdout, stderr)
        if self.has_ended or not await self._write(snippet(token)):
            self._stop_answering()
        return answer if await answer.ended else None

    async def _write(self, text: bytes) -> bool:
        try:
            if len(text) <= _WRITTEN_AT_ONCE_BYTES:
                self._stream.write(text)
            else:
                await asyncio.to_thread(self._stream.write, text)
        except OSError:
            return False
        return True

    def _stop_answering(self) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.finish(is_whole=False)

    def abort(self) -> None:
        """Let go of the shell, whatever it is doing."""
        self._stream.abort()
