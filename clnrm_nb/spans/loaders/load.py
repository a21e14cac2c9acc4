"""Recognise a source by its content and read it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, cast, get_args

import orjson

from clnrm_nb.errors import ClnrmError, UsageError
from clnrm_nb.spans.bulk import without_collector
from clnrm_nb.spans.identity import Identities
from clnrm_nb.spans.intake import Intake
from clnrm_nb.spans.loaders import documents, large, otlp_json, sources
from clnrm_nb.spans.loaders.objects import Objects
from clnrm_nb.spans.loaders.report import LoadReport
from clnrm_nb.spans.table import SpanTable
from clnrm_nb.spans.topology import tree_parents

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["INPUT_FORMATS", "load"]

_READ: Final = (*get_args(documents.Form), "otlp-proto")
INPUT_FORMATS: Final = (
    "otlp-json",
    "otlp-proto",
    "flat",
    "console",
    "jaeger",
    "zipkin",
    "tempo",
    "signoz",
    "csv",
)
"""Words of ``--input-format``."""

_BOM: Final = b"\xef\xbb\xbf"
_MAX_OBJECT_BYTES: Final = 256 * 1024 * 1024
_PIECE_BYTES: Final = 1024 * 1024
_LOOK_BYTES: Final = 64 * 1024
_MESSAGE_START: Final = 0x0A
"""Tag of field 1, length-delimited: how every OTLP request begins."""

_FRAME_HEAD: Final = 4
_JS_CONSOLE: Final = re.compile(rb"(?m)^\s*traceId: ['\"]")
_CSV_HEAD: Final = re.compile(rb"(?i)(?=.*trace)(?=.*span)(?=.*(parent|start)).*[,;\t].*")


def load(
    source: Path | str | bytes,
    *,
    input_format: str | None = None,
    allow_empty: bool = False,
    name: str | None = None,
) -> tuple[SpanTable, LoadReport]:
    """Read all spans of a source.

    Parameters
    ----------
    source : path, bytes or "-"
        ``-`` is standard input.
    input_format : str, optional
        A word of :data:`INPUT_FORMATS`; overrules recognition.
    allow_empty : bool
        Take a source without a span for an empty table: for what clnrm_nb itself has written.
    name : str, optional
        What messages call the source; default: its path.

    Returns
    -------
    tuple of (SpanTable, LoadReport)
        Each span once, in order of the source; and what there is to say about it.

    Raises
    ------
    ClnrmError
        CLN001 if it cannot be read; CLN607 (exit 1) if it holds no span, with the reason.
    UsageError
        If `input_format` is none.
    """
    if input_format is not None and input_format not in INPUT_FORMATS:
        raise UsageError(f"no input format {input_format!r}; there are {', '.join(INPUT_FORMATS)}")
    found_as, data = sources.read(source)
    name = name or found_as
    if input_format is not None and input_format not in _READ:
        raise _not_read_yet(name, input_format)
    reader = _Reader(name, input_format)
    table = SpanTable()
    identities = Identities(table)
    with without_collector():
        reader.read(data)
        identities.add(reader.intake.table)
    report = reader.report
    report.format = "+".join(sorted(reader.forms))
    report.repeats, report.conflicts = identities.n_repeats, len(identities.conflicts)
    parents, cycles = tree_parents(table)
    orphans = sum(
        parent is None and named is not None
        for parent, named in zip(parents, table.parent_span_id, strict=True)
    )
    report.take_counts(reader.intake, table, cycles=cycles, orphans=orphans - cycles)
    if not len(table) and not allow_empty:
        raise ClnrmError(f"no span was found in `{name}`: {reader.why_nothing(data)}", "CLN607")
    return table, report


def _not_read_yet(name: str, product: str) -> ClnrmError:
    return ClnrmError(
        f"`{name}` is {documents.FOREIGN[product]}, which this version does not read",
        "CLN607",
        hint="export the trace as OTLP/JSON",
    )


class _Reader:
    """One source on its way into an intake."""

    def __init__(self, name: str, input_format: str | None) -> None:
        self.name = name
        self.report = LoadReport(name)
        self.intake = Intake()
        self.forms: set[str] = set()
        self._format = input_format

    def read(self, data: bytes) -> None:
        if sources.is_gzip(data):
            data, trouble = sources.unpack(self.name, data)
            if trouble:
                self.report.skip(offset=len(data), reason=trouble)
        if sources.is_zstd(data):
            raise ClnrmError(
                f"`{self.name}` is packed with Zstandard, which this version does not read",
                "CLN607",
                hint="unpack it first",
            )
        if self._format == "otlp-proto" or (self._format is None and sources.is_binary(data)):
            self._read_binary(data)
        else:
            self._read_text(data.removeprefix(_BOM))

    # ------------------------------------------------------------------------------------------ binary

    def _read_binary(self, data: bytes) -> None:
        if data[:1] == bytes((_MESSAGE_START,)):
            self._read_message(data, 0)
            return
        offset = 0
        while len(data) - offset > _FRAME_HEAD:
            size = int.from_bytes(data[offset : offset + _FRAME_HEAD])
            start = offset + _FRAME_HEAD
            if size == 0 or start + size > len(data):
                break
            self._read_frame(data[start : start + size], start)
            offset = start + size
        if offset < len(data):
            self.report.skip(
                offset=offset, reason="a frame ends too early" if offset else "neither text nor OTLP"
            )

    def _read_frame(self, frame: bytes, offset: int) -> None:
        if sources.is_gzip(frame):
            frame, trouble = sources.unpack(self.name, frame)
            if trouble:
                self.report.skip(offset=offset, reason=trouble)
        if frame[:1] in (b"{", b"["):
            self._read_object(frame, 0, offset)
        else:
            self._read_message(frame, offset)

    def _read_message(self, data: bytes, offset: int) -> None:
        from clnrm_nb.spans import decode

        intake = Intake(self.intake.shared)
        try:
            decode.read(data, intake)
        except decode.MalformedError as error:
            self.report.skip(offset=offset, reason=str(error))
            return
        self.intake.absorb(intake)
        if not (len(intake.table) or intake.n_refused):
            self.report.skip(offset=offset, reason="a protobuf message without spans")
        self.forms.add("otlp-proto")

    # -------------------------------------------------------------------------------------------- text

    def _read_text(self, data: bytes) -> None:
        if data[:_LOOK_BYTES].lstrip()[:1] in (b"{", b"["):
            if self._format is None and len(data) >= large.MIN_BYTES and self._read_large(data):
                return
            document = _parse(data)
            if document is not None:
                self._read_document(document, 1, 0)
                return
        self._read_stream(data)

    def _read_large(self, data: bytes) -> bool:
        """Read it as one large document; whether it was one."""
        document = large.split(data)
        if document is None:
            return False
        form = document.read(self.intake, lambda at, reason: self.report.skip(offset=at, reason=reason))
        if form is None:
            return False
        self._note_form(form)
        return True

    def _note_form(self, form: documents.Form) -> None:
        self.forms.add(form)
        if form == "console":
            self.report.time_resolution = "us"

    def _read_stream(self, data: bytes) -> None:
        """Objects among any text, one or many on a line, or spread over lines."""
        objects = Objects(_MAX_OBJECT_BYTES)
        end, line = 0, 1
        for first in range(0, len(data) + 1, _PIECE_BYTES):
            piece = data[first : first + _PIECE_BYTES]
            last = first + _PIECE_BYTES > len(data)
            for offset, text in [*objects.feed(piece), *(objects.end() if last else ())]:
                line += self._skip_text(data, end, offset, line)
                self._read_object(text, line, offset)
                line += text.count(b"\n")
                end = offset + len(text)
        self._skip_text(data, end, len(data), line)

    def _skip_text(self, data: bytes, start: int, end: int, line: int) -> int:
        """Count the lines between two objects; how many line breaks they hold."""
        offset = start
        text = data[start:end]
        for number, content in enumerate(text.split(b"\n")):
            if content.strip():
                looks_json = content.lstrip().startswith((b"{", b"\xff"))
                self.report.skip(
                    line=line + number, offset=offset, reason="not valid JSON" if looks_json else None
                )
            offset += len(content) + 1
        return text.count(b"\n")

    def _read_object(self, text: bytes, line: int, offset: int) -> None:
        document = _parse(text)
        if document is None:
            self.report.skip(line=line, offset=offset, reason="not valid JSON")
        else:
            self._read_document(document, line, offset)

    def _read_document(self, document: Any, line: int, offset: int) -> None:
        form = None if self._format is None else cast("documents.Form", self._format)
        product = documents.foreign_product(document) if form is None else None
        if product is not None and not otlp_json.is_otlp(document):
            raise _not_read_yet(self.name, product)
        before = len(self.intake.table) + self.intake.n_refused
        found = documents.read(document, self.intake, form=form, ours=True)
        if found is not None:
            self._note_form(found)
        if len(self.intake.table) + self.intake.n_refused == before:
            self.report.skip(line=line, offset=offset)

    # ------------------------------------------------------------------------------------------ nothing

    def why_nothing(self, data: bytes) -> str:
        """What the source holds instead of spans."""
        if not data.strip():
            return "it is empty"
        if self.intake.other_signals:
            return f"it holds {' and '.join(sorted(self.intake.other_signals))} only"
        if self.intake.refused:
            reasons = ", ".join(
                f"{reason} ({count})" for reason, count in sorted(self.intake.refused.items())
            )
            return f"all its span-like records were refused: {reasons}"
        return (
            _foreign_text(data[:_LOOK_BYTES])
            or self._first_trouble()
            or ("the list of spans is empty" if self.forms else "its content is of no known form")
        )

    def _first_trouble(self) -> str | None:
        if not self.report.refused_lines:
            return None
        bad = self.report.refused_lines[0]
        return f"{f'line {bad.line}' if bad.line else f'byte {bad.offset}'}: {bad.reason}"


def _foreign_text(head: bytes) -> str | None:
    """Forms of text that are known and not read, by their beginning."""
    if _JS_CONSOLE.search(head):
        return "it is console output of the JavaScript SDK, which is no JSON; send OTLP/HTTP instead"
    first_line = head.removeprefix(_BOM).lstrip().partition(b"\n")[0].strip()
    if first_line[:1] not in (b"{", b"[") and _CSV_HEAD.fullmatch(first_line):
        return f"it is {documents.FOREIGN['csv']}, which this version does not read"
    return None


def _parse(text: bytes) -> Any:
    """A JSON value; ``None`` if it is none. The slower parser takes what the strict one refuses."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        pass
    try:
        # Lone surrogates become U+FFFD: nothing that comes later could encode them.
        return _without_surrogates(json.loads(text))
    except (ValueError, RecursionError):
        return None


def _without_surrogates(value: Any) -> Any:
    """Replace what is no character, without recursion."""
    top: list[Any] = [value]
    todo: list[Any] = [top]
    while todo:
        holder = todo.pop()
        items = list(holder.items()) if isinstance(holder, dict) else list(enumerate(holder))
        if isinstance(holder, dict):
            holder.clear()
        for key, inner in items:
            place = _clean(key) if isinstance(key, str) else key
            holder[place] = _clean(inner) if isinstance(inner, str) else inner
            if isinstance(inner, dict | list):
                todo.append(inner)
    return top[0]


def _clean(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
