"""Arbitrary content through the loaders, as many as asked for: ``python tests/fuzz/loaders.py --inputs 100000``.

The law: whatever a source holds, loading it gives spans, with a report that agrees with them and says where what was
not read stands, or an error of one sentence with a code and a place; nothing else is raised, and time and memory are
bounded by the size of the input. Inputs are real files of every form, changed in their structure and in their bytes,
packed, framed and torn, and plain noise. What is read in parts has no span less, in silence, than what is read as a whole.
Every input is made from the seed and its number alone; a failure prints
both, and ``--seed S --first N --inputs 1`` shows it again.
"""

from __future__ import annotations

import argparse
import copy
import gzip
import json
import math
import random
import re
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import zstandard

from clnrm_nb.errors import ClnrmError
from clnrm_nb.spans.canonical import trace_digest
from clnrm_nb.spans.loaders import (
    INPUT_FORMATS,
    LoadReport,
    large,
    lines,
    load,
    objects,
    reading,
    sources,
    write_otlp_json,
)
from clnrm_nb.spans.table import SpanTable

DATA = Path(__file__).parents[1] / "unit" / "spans" / "data"

_MAX_BYTES = 40_000
_SECONDS = 2.0
"""For one input of that size, on a machine that does other things as well; CPU time, not the clock's."""

_COMPARED = 5
"""Of so many inputs one is read in both ways, as a whole and in parts."""

_SPOILERS = [
    *b"{ } [ ] , : \" ' \\ \\u \\ud800 \\u0000 \n \r\n \x00 \xff \xc3 \xed\xa0\x80 \xef\xbb\xbf NaN -Infinity 1e999 -0 "
    b'9223372036854775808 18446744073709551616 true null {} [] root 0x ,, "" \x1f\x8b\x08 \x28\xb5\x2f\xfd '
    b'"resourceSpans":[ "spans":[{ "data":[{"spans":[],"processes":{}}] "traceId":"a","id":"b" '
    b'[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[ "batches":[] "result":[{"list":[]}] "context":{"trace_id":"0x1","span_id":"0x2"}'.split(b" "),
]  # fmt: skip
_PLACE = re.compile(r"(line \d+, )?byte \d+|record \d+|it is |it holds |the list of spans|Jaeger answered")


def _jaeger() -> bytes:
    tags = [
        {"key": "span.kind", "type": "string", "value": "server"},
        {"key": "n", "type": "int64", "value": 5},
    ]
    spans = [
        {"traceID": "abc", "spanID": str(n), "operationName": f"op {n}", "processID": "p1", "startTime": 5, "duration": 6,
         "references": [{"refType": "CHILD_OF", "traceID": "abc", "spanID": "1"}] if n > 1 else [], "tags": tags,
         "logs": [{"timestamp": 7, "fields": [{"key": "event", "type": "string", "value": "e"}]}]}
        for n in range(1, 5)
    ]  # fmt: skip
    processes = {"p1": {"serviceName": "shop", "tags": tags[1:]}}
    return json.dumps(
        {"data": [{"traceID": "abc", "spans": spans, "processes": processes}], "errors": None}
    ).encode()


def _signoz() -> bytes:
    row = {
        "spanID": "ab",
        "traceID": "cd",
        "parentSpanID": "",
        "name": "op",
        "durationNano": "5",
        "statusCode": 2,
    }
    rows = [
        row | {"spanID": f"a{n}", "tagMap": {"k": "1"}, "numberTagMap": {"k": 2}, "events": ["{}"]}
        for n in range(4)
    ]
    return json.dumps(
        {"result": [{"list": [{"timestamp": "1700000000000000000", "data": row} for row in rows]}]}
    ).encode()


def _csv() -> bytes:
    head = "TraceID,SpanID,ParentID,PodName,OperationName,StartTimeUnixNano,EndTimeUnixNano,Duration,color"
    rows = [
        f'ab{n},cd{n},{"root" if n < 2 else "cd1"},web-{n},"op ""{n}""",170000000000000000{n},,5,red'
        for n in range(9)
    ]
    return "\n".join([head, *rows]).encode()


def _framed(*parts: bytes) -> bytes:
    return b"".join(len(part).to_bytes(4) + part for part in parts)


def corpus() -> list[bytes]:
    """Files to start from: one at least of every form."""
    files = [path.read_bytes() for path in sorted(DATA.iterdir()) if path.suffix in (".txt", ".json", ".pb")]
    otlp = json.loads((DATA / "js-otlp.json").read_bytes())
    flat = [
        {"name": "a", "trace_id": "5b8efff798038103d269b633813fc60c", "span_id": f"{n:016x}", "kind": "server",
         "parent_span_id": "0000000000000001", "attributes": {"k": [1, {"x": None}]}, "events": ["e", {"name": "f"}]}
        for n in range(1, 5)
    ]  # fmt: skip
    protobuf = (DATA / "python-otlp.pb").read_bytes()
    return [
        *files,
        _jaeger(),
        _signoz(),
        _csv(),
        json.dumps({"result": otlp}).encode(),
        json.dumps({"batches": otlp["resourceSpans"]}).encode(),
        json.dumps({"spans": flat}).encode(),
        b"\n".join(json.dumps(span).encode() for span in flat),
        b"\n".join(
            [json.dumps(otlp).encode(), b'{"resourceLogs": []}', b"some text", json.dumps(flat).encode()]
        ),
        _framed(protobuf, gzip.compress(json.dumps(otlp).encode(), mtime=0)),
    ]


_ODD: list[Any] = [
    None, True, -1, 0, 2**53 + 1, 2**63, 2**64, 1.5, -0.0, math.nan, math.inf, "", "0", "NaN", "\x00", "\ud800", "a" * 3000,
    [], {}, [[]], [{}], {"": {}}, {"values": []}, {"stringValue": None}, {"arrayValue": {"values": [{}]}}, "0x", "==",
    "AAAAAAAAAAE=", "root", "2023-11-14T22:13:20Z", "9" * 400,
]  # fmt: skip


_SIZES = [
    (large, "MIN_BYTES", 1_000),
    (large, "_BATCH_BYTES", 300),
    (large, "_SHORT_BYTES", 200),
    (reading, "_HELD_BYTES", 700),
    (reading, "_PIECE_BYTES", 100),
    (lines, "MAX_LINE_BYTES", 20_000),
    (objects, "_MAX_PARSED_BYTES", 2_000),
    (sources, "_PIECE_BYTES", 150),
]


def shrink(*, is_small: bool) -> None:
    """Take every input for a large one, whose parts are read one by one; or not."""
    for (module, name, small), usual in zip(_SIZES, _USUAL, strict=True):
        setattr(module, name, small if is_small else usual)


_USUAL = [getattr(module, name) for module, name, _ in _SIZES]


class Inputs:
    """Input number n of a seed."""

    def __init__(self, files: list[bytes], seed: int) -> None:
        self.files = files
        self.seed = seed

    def __getitem__(self, number: int) -> tuple[bytes, str | None]:
        """Content, and a word of ``--input-format`` for some of them."""
        chance = random.Random(f"{self.seed}:{number}")
        form = chance.choice(INPUT_FORMATS) if chance.random() < 0.1 else None
        if chance.random() < 0.05:
            return chance.randbytes(chance.randrange(300)), form
        data = chance.choice(self.files)
        if chance.random() < 0.5:
            data = self._restructured(data, chance)
        for _ in range(chance.choice((0, 0, 0, 1, 1, 3))):
            data = self._spoilt(data, chance)
        data = self._wrapped(data[:_MAX_BYTES], chance)
        return data[: chance.randrange(len(data) + 1)] if chance.random() < 0.15 else data, form

    def _restructured(self, data: bytes, chance: random.Random) -> bytes:
        try:
            document = json.loads(data)
        except ValueError:
            return data
        for _ in range(chance.randrange(1, 5)):
            holder, key = self._place(document, chance)
            if holder is None:
                continue
            kind = chance.randrange(6)
            if kind == 0:
                del holder[key]
            elif kind == 1:
                nested = copy.deepcopy(chance.choice(_ODD))
                for _ in range(chance.choice((1, 10, 30, 70))):
                    nested = (
                        [nested]
                        if chance.random() < 0.5
                        else {"kvlistValue": {"values": [{"key": "k", "value": nested}]}}
                    )
                holder[key] = nested
            elif kind == 2 and isinstance(holder, list):
                holder.append(holder[key])
            elif kind == 3 and isinstance(holder, dict):
                holder[chance.choice(["spans", "id", "traceId", "spanId", "data", "result", "name"])] = (
                    holder[key]
                )
            else:
                holder[key] = copy.deepcopy(chance.choice(_ODD))
        return json.dumps(document).encode()

    def _place(self, document: Any, chance: random.Random) -> tuple[Any, Any]:
        holder, key = None, None
        while isinstance(document, dict | list) and document and (holder is None or chance.random() < 0.85):
            holder = document
            key = chance.choice(list(holder)) if isinstance(holder, dict) else chance.randrange(len(holder))
            document = holder[key]
        return holder, key

    def _spoilt(self, data: bytes, chance: random.Random) -> bytes:
        at = chance.randrange(len(data) + 1)
        kind = chance.randrange(6)
        if kind == 0:
            return data[:at] + data[at + chance.choice((1, 1, 5, 50)) :]
        if kind == 1:
            return data[:at] + chance.choice(_SPOILERS) + data[at:]
        if kind == 2:
            other = chance.choice(self.files)
            begin = chance.randrange(len(other))
            return data[:at] + other[begin : begin + chance.randrange(1, 300)] + data[at:]
        if kind == 3:
            return data[:at] + data[at : at + 40] * chance.randrange(1, 6) + data[at:]
        if kind == 4:
            return data + b"\n" * chance.randrange(3) + chance.choice(self.files)
        return data[:at] + chance.randbytes(1) + data[at + 1 :]

    def _wrapped(self, data: bytes, chance: random.Random) -> bytes:
        kind = chance.randrange(12)
        if kind == 0:
            return gzip.compress(data, mtime=0)
        if kind == 1:
            return zstandard.compress(data)
        if kind == 2:
            return _framed(data, zstandard.compress(data))
        if kind == 3:
            return gzip.compress(data[: len(data) // 2], mtime=0) + gzip.compress(
                data[len(data) // 2 :], mtime=0
            )
        return data


def broken_law(content: bytes, form: str | None, seen: Counter[str]) -> str | None:
    """What is wrong with the answer to an input; None where nothing is. Forms that gave spans are counted."""
    try:
        table, report = load(content, input_format=form)
    except ClnrmError as error:
        seen["an error"] += 1
        if error.code != "CLN607" or "\n" in error.message:
            return f"an odd error: {error}"
        return None if _PLACE.search(error.message) else f"an error without a place: {error.message}"
    seen.update(report.format.split("+"))
    return _broken_report(table, report, content)


def lost_in_silence(content: bytes, form: str | None) -> str | None:
    """Whether one way of reading has fewer spans than the other and nothing to say about it."""
    n_spans, is_quiet = {}, {}
    for is_small in (False, True):
        shrink(is_small=is_small)
        try:
            table, report = load(content, input_format=form)
        except ClnrmError:
            n_spans[is_small], is_quiet[is_small] = 0, False
        else:
            n_spans[is_small], is_quiet[is_small] = len(table), not (report.is_partial or report.skipped)
    fewer = n_spans[True] < n_spans[False]
    if n_spans[True] != n_spans[False] and is_quiet[fewer]:
        return f"{n_spans[False]} spans read as a whole, {n_spans[True]} in parts, and nothing is said"
    return None


def _broken_report(table: SpanTable, report: LoadReport, content: bytes) -> str | None:
    if len(table) != report.spans or not len(table):
        return f"{len(table)} rows where the report says {report.spans} spans"
    if (
        report.entries
        != report.spans + report.repeats + report.conflicts + report.refused.total() + report.joined
    ):
        return f"entries do not add up: {report.to_json()}"
    if any(
        not 0 <= bad.offset <= 40 * len(content) + _MAX_BYTES or not bad.reason
        for bad in report.refused_lines
    ):
        return f"a place outside the source: {report.refused_lines}"
    if bool(report.refused) != bool(report.refused_records):
        return "refused records without their numbers"
    return _broken_content(table, report)


def _broken_content(table: SpanTable, report: LoadReport) -> str | None:
    _ = report.diagnostics, report.remarks, json.dumps(report.to_json())
    again, _ = load(write_otlp_json(table))
    return None if trace_digest(again) == trace_digest(table) else "another digest after writing and loading"


def main() -> int:
    """Run; 1 if a law is broken."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    arguments = parser.parse_args()
    inputs = Inputs(corpus(), arguments.seed)
    broken = 0
    seen: Counter[str] = Counter()
    slowest = (0.0, 0)
    for number in range(arguments.first, arguments.first + arguments.inputs):
        content, form = inputs[number]
        shrink(is_small=number % 2 == 1)
        started = time.process_time()
        try:
            law = broken_law(content, form, seen)
            if number % _COMPARED == 0:
                law = law or lost_in_silence(content, form)
        except Exception as error:  # noqa: BLE001 - that nothing is raised is the law
            law = f"raised {error!r}"
        seconds = time.process_time() - started
        slowest = max(slowest, (seconds, number))
        law = law or (f"took {seconds:.1f} s" if seconds > _SECONDS else None)
        if law:
            broken += 1
            print(
                f"--seed {arguments.seed} --first {number} --inputs 1: {law}\n  {form} {content[:300]!r}",
                flush=True,
            )
    # Not ru_maxrss: that begins with what the process had that started this one.
    peak_mb = int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) // 1024
    print(", ".join(f"{form} {count}" for form, count in sorted(seen.items())))
    print(
        f"{arguments.inputs} inputs of seed {arguments.seed}, {broken} break a law; slowest {slowest[0]:.2f} s:"
        f" {slowest[1]}; peak {peak_mb} MB"
    )
    return 1 if broken or peak_mb > 400 else 0


if __name__ == "__main__":
    sys.exit(main())
