"""One source on its way into an intake: binary or text, a document or a stream of them, or a table."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.errors import ClnrmError
from clnrm_nb.spans.intake import Intake
from clnrm_nb.spans.loaders import csv_rows, documents, frames, large, lines, nothing, sources
from clnrm_nb.spans.loaders.jsontext import Fault, parse
from clnrm_nb.spans.loaders.objects import Objects
from clnrm_nb.spans.loaders.report import LoadReport
from clnrm_nb.spans.loaders.torn import mended

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clnrm_nb.spans.loaders.sources import Stream

__all__ = ["Reader"]

_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")
_HELD_BYTES: Final = 64 * 1024 * 1024
"""A source up to this is read as a whole: it may be one document. Of a longer one the first line decides."""

_NO_JSON: Final = b'"\n'
_TORN: Final = "the document ends too early; what was whole is read"

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
            texts = codecs.iterdecode(stream, "utf-16", "replace")
            stream = sources.Stream(self.name, (text.encode("utf-8", "replace") for text in texts))
            self._head = head = stream.peek(sources.LOOK_BYTES)
        if self._format == "otlp-proto" or (self._format is None and sources.is_binary(head)):
            self._read_binary(stream)
        elif (columns := self._columns(head)) is not None:
            self._read_table(stream, columns)
        else:
            self._read_text(stream)
        for reason, number in self.intake.refused_at[n_refused:]:
            self.report.note_record(number, reason)

    def _note_archive(self, offset: int, trouble: str) -> None:
        self.report.skip(offset=offset, reason=trouble)
        self._said = self._said or f"byte {offset} of what it unpacks to: {trouble}"

    # ------------------------------------------------------------------------------------------ binary

    def _read_binary(self, stream: Stream) -> None:
        for offset, payload, trouble in frames.payloads(stream):
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
        first_line = head.removeprefix(sources.BOM).lstrip(b"\r\n").partition(b"\n")[0]
        columns = csv_rows.header(first_line)
        if columns is None and self._format == "csv":
            raise self._error(
                "line 1, byte 0: its first line is no header with columns for trace, span, parent and start"
            )
        return columns

    def _read_table(self, stream: Stream, columns: csv_rows.Columns) -> None:
        self.forms.add("csv")
        self.report.time_resolution = columns.resolution
        self.report.columns = columns.carried
        rows = csv_rows.Lines(columns)
        is_header = True
        for line, offset, content in lines.numbered(stream):
            if content is None:
                self.report.skip(line=line, offset=offset, reason=lines.too_long())
            elif is_header and content.removeprefix(sources.BOM).strip():
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

    # -------------------------------------------------------------------------------------------- text

    def _read_text(self, stream: Stream) -> None:
        if _may_be_one_document(stream.peek(_HELD_BYTES)):
            data = _without_mark(stream.all())
            if not self._read_whole(data):
                self._read_stream(iter((data,)))
        else:
            self._read_stream(map(_without_mark, stream))

    def _read_whole(self, data: bytes) -> bool:
        """Read it as one document; whether it is one."""
        if lines.begins_with_a_line(data):
            return False
        is_large = len(data) >= large.MIN_BYTES
        if is_large and self._read_large(data, 1, 0):
            return True
        document = parse(data)
        if not isinstance(document, Fault):
            self._read_document(document, 1, 0)
            return True
        if document.is_end and self._read_torn(data, document):
            return True
        # Span by span, what is wrong costs only the span it is in.
        return not is_large and self._read_large(data, 1, 0)

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
        """Read it span by span, as is done with large documents; whether that gave any."""
        document = large.split(data)
        if document is None:
            return False

        def lost(at: int, reason: str) -> None:
            at_line = line + data.count(b"\n", 0, at) if line else 0
            self.report.skip(line=at_line, offset=offset + at, reason=reason)

        try:
            found = document.read(self.intake, lost, form=self._form)
        except documents.AmbiguousError as error:
            raise self._ambiguous(error, line, offset) from None
        self._note(found)
        if found and document.is_torn:
            lost(len(data), _TORN)
        return bool(found)

    @property
    def _form(self) -> documents.Form | None:
        """What JSON is to be read as; frames of protobuf may hold JSON of any form."""
        return self._format if self._format in documents.FORMS else None

    def _note(self, forms: set[documents.Form]) -> None:
        self.forms |= forms
        for form in forms:
            self.report.time_resolution = _TIME_RESOLUTIONS.get(form, self.report.time_resolution)

    def _read_stream(self, stream: Iterator[bytes]) -> None:
        """Objects among any text, one or many on a line, or spread over lines."""
        gaps, objects = lines.Gaps(self.report), Objects(lines.MAX_LINE_BYTES)
        for text in lines.whole_lines(stream):
            if isinstance(text, int):
                # A lone quote in its place: no object can span it.
                at = gaps.end
                self._feed(_NO_JSON, objects, gaps)
                self.report.skip(line=gaps.line - 1, offset=at, reason=lines.too_long(), count=0)
                objects.skip(text - len(_NO_JSON))
                gaps.offset += text - len(_NO_JSON)
                continue
            # In small steps: what one of them gives is parsed before it is read.
            for first in range(0, len(text), _PIECE_BYTES):
                self._feed(text[first : first + _PIECE_BYTES], objects, gaps)
        self._take(objects.end(), gaps)
        gaps.pass_over(gaps.end)

    def _feed(self, text: bytes, objects: Objects, gaps: lines.Gaps) -> None:
        gaps.text += text
        self._take(objects.feed(text), gaps)
        gaps.pass_over(objects.undecided)

    def _take(self, found: list[tuple[int, bytes, Any]], gaps: lines.Gaps) -> None:
        for offset, text, document in found:
            gaps.pass_over(offset)
            if document is None:
                self._read_object(text, gaps.line, offset)
            else:
                self._read_document(document, gaps.line, offset)
            gaps.leave_out(text)

    def _read_object(self, text: bytes, line: int, offset: int) -> None:
        is_large = len(text) >= large.MIN_BYTES
        if is_large and self._read_large(text, line, offset):
            return
        document = parse(text)
        if not isinstance(document, Fault):
            self._read_document(document, line, offset)
        elif is_large or not self._read_large(text, line, offset):
            at_line, at = document.place(text, line, offset)
            self.report.skip(
                line=at_line if line else 0, offset=at, reason=f"not valid JSON: {document.reason}"
            )

    def _read_document(self, document: Any, line: int, offset: int) -> None:
        before = len(self.intake.table) + self.intake.n_refused
        try:
            found = documents.read(document, self.intake, form=self._form, ours=True)
        except documents.AmbiguousError as error:
            raise self._ambiguous(error, line, offset) from None
        self._note(found)
        if len(self.intake.table) + self.intake.n_refused == before:
            if self._said is None and not self.intake.other_signals:
                self._said = nothing.held_instead(document, _place(line, offset), self._form)
            self.report.skip(line=line, offset=offset)

    # ----------------------------------------------------------------------------------------- nothing

    def _error(self, text: str) -> ClnrmError:
        return ClnrmError(f"`{self.name}` cannot be read: {text}", "CLN607")

    def _ambiguous(self, error: documents.AmbiguousError, line: int, offset: int) -> ClnrmError:
        forms = " or ".join(error.args)
        place = _place(line, offset)
        return ClnrmError(
            f"`{self.name}` cannot be read: {place}: an object that may be {forms}",
            "CLN607",
            hint=f"say which by `--input-format {error.args[0]}` or `--input-format {error.args[1]}`",
        )

    def why_nothing(self) -> tuple[str, str | None]:
        """What the source holds instead of spans, and what helps."""
        head = self._head.removeprefix(sources.BOM)
        if not head.strip() and not self.report.refused_lines:
            return "it is empty", nothing.EMPTY_HINT
        if self.intake.other_signals:
            return f"it holds {' and '.join(sorted(self.intake.other_signals))} only", nothing.SIGNAL_HINT
        if self.intake.refused:
            return self._why_refused(), None
        if (known := nothing.known_text(head)) is not None:
            return known
        said = self._said or self._first_trouble()
        if said is None:
            said = _EMPTY.get(min(self.forms), _EMPTY_LIST) if self.forms else _UNKNOWN
        is_unknown = nothing.UNKNOWN in said or frames.NEITHER in said
        return said, nothing.UNKNOWN_HINT if is_unknown else None

    def _why_refused(self) -> str:
        reasons = ", ".join(f"{reason} ({count})" for reason, count in sorted(self.intake.refused.items()))
        first = self.intake.refused_at[0][1]
        return f"all its span-like records were refused: {reasons}; the first is record {first}"

    def _first_trouble(self) -> str | None:
        if not self.report.refused_lines:
            return None
        bad = self.report.refused_lines[0]
        return f"{bad.place}: {bad.reason}"


_PIECE_BYTES: Final = 1024 * 1024
_EMPTY_LIST: Final = "the list of spans is empty"
_UNKNOWN: Final = f"line 1, byte 0: its content is of {nothing.UNKNOWN}"
_EMPTY: Final = {
    "jaeger": "it is an answer of Jaeger without any span",
    "tempo": "it is an answer of Tempo or Jaeger without any span",
    "signoz": "it is an answer of SigNoz about something else than spans",
    "csv": "it is a table without any row",
}


def _place(line: int, offset: int) -> str:
    return f"line {line}, byte {offset}" if line else f"byte {offset}"


def _may_be_one_document(held: bytes) -> bool:
    held = _without_mark(held)
    begins = held[: sources.LOOK_BYTES].lstrip()[:1] in (b"{", b"[")
    return begins and (len(held) < _HELD_BYTES or not lines.begins_with_a_line(held))


def _without_mark(data: bytes) -> bytes:
    """Blanks for a byte order mark, so that offsets stay what they are."""
    return b"   " + data[len(sources.BOM) :] if data.startswith(sources.BOM) else data
