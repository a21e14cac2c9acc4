"""Real traces as bases of the diff's benchmark: the corpus, where it is there, and our own engine's recordings."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from diff_families import MS, TRACE, Spans, origin

import clnrm_nb
from clnrm_nb.api.inspect import read_table
from clnrm_nb.errors import ClnrmError
from clnrm_nb.spans.table import SpanTable
from clnrm_nb.spans.topology import tree_parents

ROOT = Path(__file__).parents[2]
CORPUS = Path(os.environ.get("CLNRM_CORPUS", ROOT.parent / "shared" / "corpus")) / "traces"
RECORDED = Path(clnrm_nb.__file__).parent / "examples"
SUFFIXES = {".json", ".txt", ".protobuf-bin"}


def bases() -> dict[str, Spans]:
    """By name, every file with at least three spans."""
    found = {}
    for name, path in _files():
        try:
            table = read_table(str(path), None)
        except ClnrmError:  # Such as the pairs' list, or what holds no span: other tests are about that.
            continue
        if len(table) >= 3:
            found[name] = as_base(table)
    return found


def _files() -> Iterator[tuple[str, Path]]:
    for path in sorted(CORPUS.rglob("*")):
        if path.suffix in SUFFIXES:
            yield str(path.relative_to(CORPUS)), path
    for path in sorted(RECORDED.rglob("recording.json")):
        yield str(path.relative_to(RECORDED)), path


def as_base(table: SpanTable) -> Spans:
    """The program's spans under ids of the benchmark: one trace, parents by row, links within it kept."""
    rows = [row for row in range(len(table)) if not table.own[row]]
    program = table.select(rows)
    parents, _ = tree_parents(program)
    ids = {key: row for row, key in enumerate(zip(program.trace_id, program.span_id, strict=True))}
    found: Spans = {}
    for row in range(len(program)):
        one, parent = program.span(row), parents[row]
        links = tuple(
            link._replace(trace_id=TRACE, span_id=origin(ids[link.trace_id, link.span_id]))
            if (link.trace_id, link.span_id) in ids
            else link
            for link in one.links
        )
        found[origin(row)] = replace(
            one,
            trace_id=TRACE,
            span_id=origin(row),
            parent_span_id=None if parent is None else origin(parent),
            start_ns=one.start_ns or row * MS,
            end_ns=one.end_ns or row * MS,
            links=links,
        )
    return found
