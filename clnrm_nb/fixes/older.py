"""Older forms of expectations (``format.md`` 7.9) as the tables they stand for.

``validate`` takes these forms as they are, so they are findings of ``migrate`` alone. Everything is rewritten
where it stands, so that comments stay with it. What no current table can ask for is reported with its reason
and stays; so does what would change places with its neighbours, because results are named by their order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.fixes.meaning import EVERY_NAME, as_edge, one_name
from clnrm_nb.scenario.findings import Findings, locate_all
from clnrm_nb.scenario.repairs import (
    Delete,
    Insert,
    Move,
    Rename,
    Repair,
    Restate,
    Rewrite,
    bare_or_quoted,
    basic_string,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clnrm_nb.errors import Diagnostic
    from clnrm_nb.scenario.model import KeyPath, TestFile, TraceExpectation
    from clnrm_nb.scenario.parse import Parsed
    from clnrm_nb.scenario.repairs import Change

__all__ = ["older_forms"]

_VALIDATION: Final[KeyPath] = ("otel_validation",)
_TABLES: Final = {
    "expect_graph": "graph",
    "expect_counts": "counts",
    "expect_windows": "window",
    "expect_order": "order",
    "expect_status": "status",
    "expect_hermeticity": "hermeticity",
}
_SPAN_KEYS: Final = {
    "attributes": "attrs.all",
    "min_duration_ms": "duration_ms.gte",
    "max_duration_ms": "duration_ms.lte",
    "min_count": "count.gte",
}
_SAME_SPAN_KEYS: Final = frozenset(("name", "parent", "count", "description", "reason"))
_TRACE_WORDS: Final = ("complete", "is_tree", "ordered", "trace_id", "trace_count")
_LINES: Final[dict[str, tuple[str, tuple[str, ...], str]]] = {
    "minimum_spans": ("counts", ("spans_total", "spans"), "{ gte = VALUE }"),
    "expected_minimum_spans": ("counts", ("spans_total", "spans"), "{ gte = VALUE }"),
    # `by_name` takes spans out of an `all` beside it.
    "expected_status": ("status", ("all", "all_ok", "by_name"), '"VALUE"'),
    "should_have_parent_child_edges": (
        "graph",
        ("must_include", "edges", "parent_child", "descendant"),
        f'[["{EVERY_NAME}", "{EVERY_NAME}"]]',
    ),
}
"""Keys of ``otel_expectations``: table, key (none of these may be there already), and value in ``expect``."""
_NO_ASSERTION: Final = {
    "container_should_have_executed_commands": "nothing in `[expect]` counts commands",
    "execution_should_be_hermetic": "nothing in `[expect]` asks for a hermetic backend",
}


@dataclass(frozen=True, slots=True)
class _Table:
    """A table to be rewritten, and what stands beside it."""

    parsed: Parsed
    test: TestFile | None
    expect: dict[str, Any]
    findings: Findings

    def say(self, path: KeyPath, message: str, *changes: Change, part: Any = "key", title: str = "") -> None:
        """One finding, with the repair that `changes` are."""
        repair = Repair(title, changes) if changes else None
        self.findings.add("CLN308", path, message, part=part, repair=repair)

    def has_header(self, path: KeyPath) -> bool:
        """Whether it is written as a table, or array of tables, with headers of its own."""
        text = self.parsed.positions.text
        return any(text[span[0]] == "[" for span, _ in self.parsed.positions.statements_of(path))

    def is_one_line(self, path: KeyPath) -> bool:
        """Whether its value stands on one line."""
        span = self.parsed.positions.values.get(path)
        return span is not None and "\n" not in self.parsed.positions.text[slice(*span)]

    def is_behind(self, path: KeyPath, other: KeyPath) -> bool:
        """Whether `path` begins behind everything of `other`."""
        statements = self.parsed.positions.statements_of
        last = max((span[0] for span, _ in statements(other)), default=-1)
        return min((span[0] for span, _ in statements(path)), default=-1) > last


def older_forms(parsed: Parsed, test: TestFile | None = None) -> list[Diagnostic]:
    """One finding (CLN308) for each thing in an older form, with its repair where there is one.

    Parameters
    ----------
    parsed : Parsed
        The file.
    test : TestFile, optional
        What it means; without it (where there are errors) whole traces are only listed.
    """
    document = parsed.document or {}
    expect = document.get("expect", {})
    table = _Table(parsed, test, expect if isinstance(expect, dict) else {}, Findings())
    validation = document.get("otel_validation")
    if isinstance(validation, dict):
        _validation(validation, table)
    expectations = document.get("otel_expectations")
    if isinstance(expectations, dict):
        _expectations(expectations, table)
    for path, assertions in _all_assertions(document):
        _assertions(assertions, path, table)
    return locate_all(table.findings.items, parsed)


# ------------------------------------------------------------------------------------- otel_validation


def _validation(validation: dict[str, Any], table: _Table) -> None:
    if validation.get("enabled") is False:
        message = "`[otel_validation]` is switched off; take it out or switch it on"
        table.say(_VALIDATION, message, part="header")
        return
    if not validation:
        table.say(_VALIDATION, "`[otel_validation]` is empty", Delete(_VALIDATION), part="header",
                  title="Take it out")  # fmt: skip
    for key, value in validation.items():
        where = (*_VALIDATION, key)
        if key in ("enabled", "collector_url") or key.startswith("validate_"):
            table.say(where, f"`{key}` says nothing", Delete(where), title="Take it out")
        elif key in _TABLES:
            _moved(where, _TABLES[key], table)
        elif key == "expected_spans" and isinstance(value, list):
            _spans(value, where, table)
    traces = {one.source: one for one in table.test.expect.traces} if table.test is not None else {}
    is_held = False
    for index, entry in enumerate(_tables_in(validation.get("expected_traces"))):
        path: KeyPath = (*_VALIDATION, "expected_traces", index)
        is_held = _trace(entry, path, traces.get(path), validation, table, is_held=is_held)


def _moved(where: KeyPath, name: str, table: _Table) -> None:
    message = f"`otel_validation.{where[-1]}` is spelled `expect.{name}`"
    if name in table.expect:
        table.say(where, f"{message}, which is there already; make one of the two", part="header")
    elif not table.has_header(where):
        table.say(where, f"{message}; give it a header of its own", part="header")
    else:
        table.say(
            where, message, Move(where, f"expect.{name}"), part="header", title=f"Write `[expect.{name}]`"
        )


def _spans(spans: list[Any], path: KeyPath, table: _Table) -> None:
    """As many spans as can move from the front; one that cannot holds back those behind it."""
    is_held = False
    for index, span in enumerate(_tables_in(spans)):
        where = (*path, index)
        message = "`otel_validation.expected_spans` is spelled `expect.span`"
        changes, reasons = _span_changes(span, where, table)
        if is_held and not reasons:
            reasons.append("it comes behind one that stays")
        elif not table.has_header(where):
            reasons.append("give it a header of its own")
        elif "span" in table.expect and not table.is_behind(where, ("expect", "span")):
            reasons.append("put it behind `[[expect.span]]`, so that their order stays")
        if reasons:
            table.say(where, f"{message}; {', '.join(reasons)}", part="header")
        else:
            changes.insert(0, Move(where, "expect.span"))
            table.say(where, message, *changes, part="header", title="Write `[[expect.span]]`")
            if table.parsed.fix(Repair("", tuple(changes))) is None:
                reasons.append("a macro wrote it")
        is_held = is_held or bool(reasons)


def _span_changes(span: dict[str, Any], where: KeyPath, table: _Table) -> tuple[list[Change], list[str]]:
    """The keys of one span, and why some of them cannot be written."""
    changes: list[Change] = []
    reasons: list[str] = []
    for key, value in span.items():
        here = (*where, key)
        if key == "min_count" and "count" in span:
            if isinstance(span["count"], int) and isinstance(value, int):
                count = (*where, "count")
                changes += (Rewrite(count, ("{ eq = ", count, ", gte = ", here, " }")), Delete(here))
            else:
                reasons.append("`min_count` and `count` are one bound in `expect.span`")
        elif key in _SPAN_KEYS:
            changes.append(Rename(here, _SPAN_KEYS[key]))
        elif key == "required_attributes":
            changes += _required_attributes(span, here, table, reasons)
        elif key == "required" and value is True:
            changes.append(Delete(here))
        elif key == "required":
            reasons.append("a span that may be missing (`required = false`) has no current form")
        elif key not in _SAME_SPAN_KEYS:
            reasons.append(f"`{key}` has no current form")
    return changes, reasons


def _required_attributes(
    span: dict[str, Any], path: KeyPath, table: _Table, reasons: list[str]
) -> list[Change]:
    """``required_attributes`` as pairs that have to exist, in the table of the other attributes."""
    names = span["required_attributes"]
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        return [Delete(path)] if names == [] else []
    attributes = span.get("attributes", {})
    if len({*names, *attributes}) < len(names) + len(attributes):
        reasons.append("`required_attributes` repeats an attribute")
        return []
    first, *more = (f"{bare_or_quoted(name)} = {{ exists = true }}" for name in names)
    if "attributes" not in span:
        pairs = ", ".join((first, *more))
        return [Restate(path, (f"attrs.all = {{ {pairs} }}",))]
    holder = (*path[:-1], "attributes")
    between = "\n" if holder in table.parsed.positions.headers else ", "
    key, _, value = between.join((first, *more)).partition(" = ")
    return [Insert(holder, key, value), Delete(path)]


def _trace(
    entry: dict[str, Any],
    path: KeyPath,
    trace: TraceExpectation | None,
    validation: dict[str, Any],
    table: _Table,
    *,
    is_held: bool,
) -> bool:
    """A trace of one name or one edge; the rest has to hold in one trace, which ``expect`` cannot say.

    Returns
    -------
    bool
        Whether spans behind it have to wait, so that their order stays.
    """
    message = "`otel_validation.expected_traces` is an older form"
    name, edge = (one_name(trace), as_edge(trace)) if trace is not None else (None, None)
    reason = _why_no_trace(path, validation, table, kind="graph" if edge is not None else "span")
    if trace is None or (name is None and edge is None):
        words = [f"`{word}`" for word in _TRACE_WORDS if entry.get(word) not in (None, False)]
        reason = "all of it has to hold in one trace, which `[expect]` cannot ask for"
        if words:
            reason = f"{', '.join(words)} {'has' if len(words) == 1 else 'have'} no current form"
    elif name is not None and is_held:
        reason = "it comes behind one that stays"
    if reason:
        table.say(path, f"{message}; {reason}", part="header")
        return is_held or name is not None
    drops = [Delete((*path, key)) for key in _TRACE_WORDS if key in entry]
    names, edges = (*path, "span_names"), (*path, "parent_child")
    if edge is not None:
        table.say(path, f"{message} of `[[expect.graph]]`", Move(path, "expect.graph"), Delete(names),
                  Rename(edges, "must_include"), *drops, part="header",
                  title="Write `[[expect.graph]]`")  # fmt: skip
        return is_held
    if "parent_child" in entry:
        drops.append(Delete(edges))
    name_line = Restate(names, (f"name = {basic_string(str(name))}",))
    table.say(path, f"{message} of `[[expect.span]]`", Move(path, "expect.span"), name_line, *drops,
              part="header", title="Write `[[expect.span]]`")  # fmt: skip
    return is_held


def _why_no_trace(path: KeyPath, validation: dict[str, Any], table: _Table, *, kind: str) -> str | None:
    """Why ``[[expect.kind]]`` cannot be written where a trace stands."""
    older = "expected_spans" if kind == "span" else "expect_graph"
    if not table.has_header(path):
        return "give it a header of its own"
    if older in validation or not _takes_another(kind, path, table):
        return f"bring `[expect.{kind}]` into the current form ahead of it"
    return None


def _takes_another(kind: str, path: KeyPath, table: _Table) -> bool:
    """Whether ``[[expect.kind]]`` may be written at `path`: an array of tables, and behind its others."""
    if kind not in table.expect:
        return True
    is_array = isinstance(table.expect[kind], list) and table.has_header(("expect", kind, 0))
    return is_array and table.is_behind(path, ("expect", kind))


# ----------------------------------------------------------------------------------- otel_expectations


def _expectations(expectations: dict[str, Any], table: _Table) -> None:
    """All keys become tables where they stand, or those without a current form are listed."""
    path: KeyPath = ("otel_expectations",)
    changes: list[Change] = []
    reasons: list[tuple[KeyPath, str]] = []
    if not table.has_header(path):
        reasons.append((path, "give it a header of its own"))
    for key, value in expectations.items():
        where = (*path, key)
        change = _expectation(key, value, where, expectations, table)
        if isinstance(change, str):
            reasons.append((where, change))
        elif changes and change and isinstance(change[0], Restate) and str(change[0].parts[0])[0] == "[":
            # A table begins behind a blank line.
            changes += (Restate(where, ("\n", *change[0].parts)), *change[1:])
        else:
            changes += change
    for where, reason in reasons:
        table.say(where, f"`otel_expectations` is an older form; {reason}")
    if not reasons:
        message = "`[otel_expectations]` is spelled `[expect]`"
        table.say(path, message, Delete(path), *changes, part="header", title="Write `[expect]`")


def _expectation(
    key: str, value: Any, where: KeyPath, expectations: dict[str, Any], table: _Table
) -> list[Change] | str:
    """One key as the table it stands for, or why not."""
    if key == "required_events" and isinstance(value, list):
        return _required_events(value, where, table)
    if key not in _LINES:
        # The other keys are notes (`format.md` 7.9), and notes are comments.
        return [Restate(where, (f"# {bare_or_quoted(key)} = ", where))] if table.is_one_line(where) else (
            f"`{key}` is a note: make it a comment"
        )  # fmt: skip
    if {"minimum_spans", "expected_minimum_spans"} <= expectations.keys() and key.endswith("minimum_spans"):
        return "keep one of `minimum_spans` and `expected_minimum_spans`"
    if value is False:
        return [Delete(where)]
    kind, keys, text = _LINES[key]
    return _line_of(kind, keys, text.replace("VALUE", str(value)), where, table)


def _required_events(events: list[Any], where: KeyPath, table: _Table) -> list[Change] | str:
    traces = table.test.expect.traces if table.test is not None else ()
    if table.has_header((*_VALIDATION, "expected_spans")) or any(map(one_name, traces)):
        return "the spans of `otel_validation` come first"
    if not _takes_another("span", where, table):
        return "put it behind `[[expect.span]]`, so that their order stays"
    blocks = (
        f'[[expect.span]]\nname = "{EVERY_NAME}"\nevents.all = [{basic_string(str(event))}]'
        for event in events
    )
    return [Restate(where, ("\n\n".join(blocks),))] if events else [Delete(where)]


def _line_of(
    kind: str, keys: tuple[str, ...], value: str, where: KeyPath, table: _Table
) -> list[Change] | str:
    """The first of `keys` in ``[expect.kind]``: a table of its own, or a line of the one that is there.

    None of `keys` may stand in that table already.
    """
    there = table.expect.get(kind)
    if table.has_header((*_VALIDATION, f"expect_{kind}")) or (
        there is not None and not isinstance(there, dict)
    ):
        return f"bring `[expect.{kind}]` into one table first"
    if there is None:
        return [Restate(where, (f"[expect.{kind}]\n{keys[0]} = {value}",))]
    if not there.keys().isdisjoint(keys):
        return f"`expect.{kind}` has a rule of that kind already; make one of the two"
    return [Insert(("expect", kind), keys[0], value), Delete(where)]


# ------------------------------------------------------------------------------------------ assertions


def _all_assertions(document: dict[str, Any]) -> Iterator[tuple[KeyPath, dict[str, Any]]]:
    test = document.get("test")
    for holder, path in ((document, ()), (test if isinstance(test, dict) else {}, ("test",))):
        found = holder.get("assertions")
        if isinstance(found, dict):
            yield (*path, "assertions"), found
        for index, entry in enumerate(_tables_in(found)):
            yield (*path, "assertions", index), entry


def _assertions(assertions: dict[str, Any], path: KeyPath, table: _Table) -> None:
    for key, value in assertions.items():
        where = (*path, key)
        if key == "execution_should_be_hermetic" and value is False:
            alone = [Delete(path)] if len(assertions) == 1 else []
            table.say(where, f"`{key} = false` asks for nothing", Delete(where), *alone, title="Take it out")
            continue
        reason = _NO_ASSERTION.get(key, "it is not evaluated: make it an expectation, or a comment")
        table.say(where, f"`assertions.{key}` is an older form; {reason}")


def _tables_in(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
