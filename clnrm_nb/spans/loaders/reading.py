"""One source on its way into an intake: binary or text, a document or a stream of them, or a table."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, cast

from clnrm_nb.errors import ClnrmError
from clnrm_nb.spans.intake import Intake
from clnrm_nb.spans.loaders import csv_rows, documents, frames, jaeger, large, sources
from clnrm_nb.spans.loaders.jsontext import Fault, parse
from clnrm_nb.spans.loaders.objects import Objects
from clnrm_nb.spans.loaders.report import LoadReport
from clnrm_nb.spans.loaders.torn import mended

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clnrm_nb.spans.loaders.sources import Stream

__all__ = ["Reader"]

_BOM: Final = b"\xef\xbb\xbf"
_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")
_HELD_BYTES: Final = 64 * 1024 * 1024
"""A source up to this is read as a whole: it may be one document. Of a longer one the first line decides."""

MAX_LINE_BYTES: Final = 256 * 1024 * 1024
"""Of one line, or one object spread over lines."""

_TOO_LONG: Final = f"a line of more than {MAX_LINE_BYTES} bytes"
_TORN: Final = "the document ends too early; what was whole is read"

_JS_CONSOLE: Final = re.compile(rb"(?m)^\s*traceId: ['\"]")
_JS_HINT: Final = (
    "it is console output of the JavaScript SDK, which is no JSON; let the program send OTLP/HTTP instead"
    " (OTEL_TRACES_EXPORTER=otlp, OTEL_EXPORTER_OTLP_PROTOCOL=http/json or http/protobuf)"
)
_TIME_RESOLUTIONS: Final = {"console": "us", "jaeger": "us", "zipkin": "us"}


class Reader:
    """Reads one source into :attr:`intake` and says about it in :attr:`report` what there is to say.

    Parameters
    ----------
    name : str
        For messages.
    input_format : str or None
        A word of ``--input-format``; ``None`` to recognise it.
    intake : Intake, optional
        Where spans go; shared by the sources of one load.
    """

    def __init__(self, name: str, input_format: str | None, intake: Intake | None = None) -> None:
        self.name = name
        self.report = LoadReport(name)
        self.intake = intake if intake is not None else Intake()
        self.forms: set[str] = set()
        self._format = input_format
        self._head = b""
        self._said: str | None = None

    def read(self, stream: Stream) -> None:
        """Read all of it.

        Raises
        ------
        ClnrmError
            It cannot be read, is too large, or may be of two forms.
        """
        n_refused = len(self.intake.refused_at)
        stream = sources.unpack(stream, self._note_archive)
        self._head = head = stream.peek(sources.LOOK_BYTES)
        if head.startswith(_UTF_16):
            text = stream.all().decode("utf-16", "replace")
            stream = sources.Stream(self.name, iter((text.encode("utf-8", "replace"),)))
            self._head = head = stream.peek(sources.LOOK_BYTES)
        if self._format == "otlp-proto" or (self._format is None and sources.is_binary(head)):
            self._read_binary(stream.all())
        elif (columns := self._columns(head)) is not None:
            self._read_table(stream, columns)
        else:
            self._read_text(stream)
        for reason, number in self.intake.refused_at[n_refused:]:
            self.report.note_record(number, reason)

    def _note_archive(self, trouble: str) -> None:
        self.report.skip(line=0, offset=0, reason=trouble)
        self._said = self._said or trouble

    # ------------------------------------------------------------------------------------------ binary

    def _read_binary(self, data: bytes) -> None:
        for offset, payload, trouble in frames.payloads(data):
            reason = None
            if payload is not None and payload[:1] in (b"{", b"["):
                self._read_object(payload, 0, offset)
            elif payload is not None:
                reason = frames.read_message(payload, self.intake)
                self.forms.add("otlp-proto")
            if trouble or reason:
                self.report.skip(offset=offset, reason=trouble or reason)

    # ------------------------------------------------------------------------------------------- table

    def _columns(self, head: bytes) -> csv_rows.Columns | None:
        if self._format not in (None, "csv"):
            return None
        first_line = head.removeprefix(_BOM).lstrip(b"\r\n").partition(b"\n")[0]
        columns = csv_rows.header(first_line)
        if columns is None and self._format == "csv":
            raise self._error(
                "line 1, byte 0: its first line is no header with columns for trace, span, parent and start"
            )
        return columns

    def _read_table(self, stream: Stream, columns: csv_rows.Columns) -> None:
        self.forms.add("csv")
        self.report.time_resolution = columns.resolution
        rows = csv_rows.Lines(columns)
        is_header = True
        for line, offset, content in self._lines(stream):
            if content is None:
                self.report.skip(line=line, offset=offset, reason=_TOO_LONG)
            elif is_header and content.removeprefix(_BOM).strip():
                is_header = False
            elif content.strip(b"\r\n"):
                text = content.removesuffix(b"\r").decode("utf-8", "replace")
                self._take_rows(rows.feed(line, offset, text), columns)
        self._take_rows(rows.end(), columns)

    def _take_rows(self, rows: Iterator[csv_rows.Row], columns: csv_rows.Columns) -> None:
        for line, offset, row in rows:
            reason = "a quote that is not closed" if row is None else columns.read(row, self.intake)
            if reason is not None:
                self.report.skip(line=line, offset=offset, reason=reason)

    def _lines(self, stream: Stream) -> Iterator[tuple[int, int, bytes | None]]:
        """Lines with number and offset; ``None`` for one that is too long."""
        rest, line, offset = b"", 1, 0
        for piece in stream:
            *whole, rest = (rest + piece).split(b"\n")
            for content in whole:
                yield line, offset, content if len(content) <= MAX_LINE_BYTES else None
                line += 1
                offset += len(content) + 1
            if len(rest) > MAX_LINE_BYTES:
                # What is kept of it is enough to know that it is too long.
                offset += len(rest) - MAX_LINE_BYTES - 1
                rest = rest[: MAX_LINE_BYTES + 1]
        if rest:
            yield line, offset, rest

    # -------------------------------------------------------------------------------------------- text

    def _read_text(self, stream: Stream) -> None:
        held = stream.peek(_HELD_BYTES)
        if len(held) < _HELD_BYTES or not _begins_with_a_line(held):
            data = stream.all().removeprefix(_BOM)
            if data[: sources.LOOK_BYTES].lstrip()[:1] in (b"{", b"[") and self._read_whole(data):
                return
            stream = sources.Stream(self.name, iter((data,)))
            del data
        self._read_stream(stream)

    def _read_whole(self, data: bytes) -> bool:
        """Read it as one document; whether it is one."""
        if len(data) >= large.MIN_BYTES and self._read_large(data, 1, 0):
            return True
        document = parse(data)
        if isinstance(document, Fault):
            if document.is_end and not _begins_with_a_line(data):
                return self._read_torn(data, document)
            return False
        self._read_document(document, 1, 0)
        return True

    def _read_torn(self, data: bytes, fault: Fault) -> bool:
        """A document that breaks off: the spans that are whole, if any."""
        whole = mended(data)
        document = parse(whole) if whole is not None else None
        if document is None or isinstance(document, Fault):
            return False
        line, offset = fault.place(data, 1, 0)
        before = len(self.intake.table)
        self._read_document(document, 1, 0)
        if len(self.intake.table) == before:
            return False
        self.report.skip(line=line, offset=offset, reason=_TORN)
        return True

    def _read_large(self, data: bytes, line: int, offset: int) -> bool:
        """Read it as one large document; whether it was one."""
        document = large.split(data)
        if document is None:
            return False

        def lost(at: int, reason: str) -> None:
            self.report.skip(line=line + data.count(b"\n", 0, at), offset=offset + at, reason=reason)

        try:
            found = document.read(self.intake, lost, form=self._form)
        except documents.AmbiguousError as error:
            raise self._ambiguous(error, line, offset) from None
        self._note(found)
        return bool(found)

    @property
    def _form(self) -> documents.Form | None:
        return cast("documents.Form | None", self._format)

    def _note(self, forms: set[documents.Form]) -> None:
        self.forms |= forms
        for form in forms:
            self.report.time_resolution = _TIME_RESOLUTIONS.get(form, self.report.time_resolution)

    def _read_stream(self, stream: Stream) -> None:
        """Objects among any text, one or many on a line, or spread over lines."""
        gaps = _Gaps(self.report)
        objects = Objects(MAX_LINE_BYTES)
        is_first = True
        for piece in stream:
            data = piece.removeprefix(_BOM) if is_first else piece
            is_first = False
            gaps.text += data
            # In small steps: what one of them gives is parsed before it is read.
            for first in range(0, len(data), _PIECE_BYTES):
                self._take(objects.feed(data[first : first + _PIECE_BYTES]), gaps)
            gaps.pass_over(objects.undecided, is_whole=False)
        self._take(objects.end(), gaps)
        gaps.pass_over(gaps.offset + len(gaps.text), is_whole=True)

    def _take(self, found: list[tuple[int, bytes, Any]], gaps: _Gaps) -> None:
        for offset, text, document in found:
            gaps.pass_over(offset, is_whole=True)
            if document is None:
                self._read_object(text, gaps.line, offset)
            else:
                self._read_document(document, gaps.line, offset)
            gaps.leave_out(text)

    def _read_object(self, text: bytes, line: int, offset: int) -> None:
        if len(text) >= large.MIN_BYTES and self._read_large(text, line, offset):
            return
        document = parse(text)
        if isinstance(document, Fault):
            at_line, at = document.place(text, line, offset)
            self.report.skip(
                line=at_line if line else 0, offset=at, reason=f"not valid JSON: {document.reason}"
            )
        else:
            self._read_document(document, line, offset)

    def _read_document(self, document: Any, line: int, offset: int) -> None:
        before = len(self.intake.table) + self.intake.n_refused
        try:
            found = documents.read(document, self.intake, form=self._form, ours=True)
        except documents.AmbiguousError as error:
            raise self._ambiguous(error, line, offset) from None
        self._note(found)
        if len(self.intake.table) + self.intake.n_refused == before:
            if isinstance(document, dict):
                self._said = self._said or jaeger.why_nothing(document)
            self.report.skip(line=line, offset=offset)

    # ----------------------------------------------------------------------------------------- nothing

    def _error(self, text: str) -> ClnrmError:
        return ClnrmError(f"`{self.name}` cannot be read: {text}", "CLN607")

    def _ambiguous(self, error: documents.AmbiguousError, line: int, offset: int) -> ClnrmError:
        forms = " or ".join(error.args)
        place = f"line {line}, byte {offset}" if line else f"byte {offset}"
        return ClnrmError(
            f"`{self.name}` cannot be read: {place}: an object that may be {forms}",
            "CLN607",
            hint=f"say which by `--input-format {error.args[0]}` or `--input-format {error.args[1]}`",
        )

    def why_nothing(self) -> str:
        """What the source holds instead of spans."""
        head = self._head.removeprefix(_BOM)
        if not head.strip() and not self.report.refused_lines:
            return "it is empty"
        if self.intake.other_signals:
            return f"it holds {' and '.join(sorted(self.intake.other_signals))} only"
        if self.intake.refused:
            reasons = ", ".join(
                f"{reason} ({count})" for reason, count in sorted(self.intake.refused.items())
            )
            return f"all its span-like records were refused: {reasons}"
        if _JS_CONSOLE.search(head):
            return _JS_HINT
        return (
            self._said
            or self._first_trouble()
            or (_EMPTY.get(min(self.forms), _EMPTY_LIST) if self.forms else _UNKNOWN)
        )

    def _first_trouble(self) -> str | None:
        if not self.report.refused_lines:
            return None
        bad = self.report.refused_lines[0]
        return f"{bad.place}: {bad.reason}"


_PIECE_BYTES: Final = 1024 * 1024
_EMPTY_LIST: Final = "the list of spans is empty"
_UNKNOWN: Final = "its content is of no known form"
_EMPTY: Final = {
    "jaeger": "it is an answer of Jaeger without any span",
    "tempo": "it is an answer of Tempo or Jaeger without any span",
    "signoz": "it is an answer of SigNoz about something else than spans",
    "csv": "it is a table without any row",
}


def _begins_with_a_line(data: bytes) -> bool:
    """Whether the first line is a JSON value by itself, with more behind it."""
    start = len(data) - len(data.removeprefix(_BOM).lstrip())
    end = data.find(b"\n", start)
    if end < 0 or not data[end:].strip():
        return False
    return not isinstance(parse(data[start:end]), Fault)


class _Gaps:
    """The text between objects: its lines counted, and those noted that look like data.

    Attributes
    ----------
    text : bytearray
        What is neither counted nor read yet.
    offset, line : int
        Where it begins.
    """

    def __init__(self, report: LoadReport) -> None:
        self._report = report
        self._is_long = False
        self.text = bytearray()
        self.offset = 0
        self.line = 1

    def pass_over(self, end: int, *, is_whole: bool) -> None:
        """Count the text up to an offset; if it may still grow, only whole lines of it."""
        size = max(0, end - self.offset)
        if not is_whole:
            cut = self.text.rfind(b"\n", 0, size) + 1
            if size - cut > MAX_LINE_BYTES // 2 and not self._is_long:
                # Given up by what looks for objects: a line that is too long and goes on.
                self._is_long = True
                self._report.skip(
                    line=self.line + self.text.count(b"\n", 0, cut),
                    offset=self.offset + cut,
                    reason=_TOO_LONG,
                )
            size = size if self._is_long else cut
        lines = bytes(self.text[:size]).split(b"\n")
        for number, content in enumerate(lines):
            if self._is_long:
                self._is_long = number == len(lines) - 1
            elif content.strip():
                looks_json = content.lstrip().startswith((b"{", b"\xff"))
                self._report.skip(
                    line=self.line,
                    offset=self.offset,
                    reason=_reason(content) if looks_json else None,
                )
            self.offset += len(content) + 1
            self.line += 1
        self.offset -= 1
        self.line -= 1
        del self.text[:size]

    def leave_out(self, text: bytes) -> None:
        """Go on behind an object that was read."""
        self.line += text.count(b"\n")
        self.offset += len(text)
        del self.text[: len(text)]


def _reason(content: bytes) -> str:
    fault = parse(content)
    return f"not valid JSON: {fault.reason}" if isinstance(fault, Fault) else "not valid JSON"
