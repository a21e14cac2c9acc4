"""What to expect of a trace that was seen once: proposals, each held against that trace by the real judge.

Proposals are made as the document of a scenario file. It is read as every file is read and evaluated as
every run is evaluated; what does not hold for its own trace is dropped, so that nothing is proposed that was
not so. Values that vary from run to run, or belong to the data of one run, are left out (:mod:`.names`).
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.executor.outcome import ScenarioOutcome, TestOutcome
from clnrm_nb.expect import evaluate
from clnrm_nb.scaffold.names import is_telling, pattern_of, varies
from clnrm_nb.scenario.build import draft
from clnrm_nb.scenario.findings import Findings
from clnrm_nb.secrets import names_a_secret
from clnrm_nb.spans.model import KINDS
from clnrm_nb.spans.topology import children_of, tree_parents
from clnrm_nb.spans.volatile import keep
from clnrm_nb.validation.cycles import check_cycles

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from clnrm_nb.scenario.model import KeyPath, TestFile
    from clnrm_nb.spans.table import SpanTable

__all__ = ["of_scenario", "of_trace", "pruned"]

_MOST_SPANS: Final = 40
_MOST_EDGES: Final = 60
_MOST_ORDERS: Final = 10
_ORDER_DEPTH: Final = 4
"""Length of the key path of a pair: ``expect``, ``order``, ``must_precede``, its number."""

_MOST_ATTRIBUTES: Final = 4
_MOST_EVENTS: Final = 3
_LONGEST_VALUE: Final = 80
_STATUS_WORDS: Final = ("UNSET", "OK", "ERROR")
_FAMILIES: Final = ("http.", "rpc.", "db.", "messaging.", "graphql.", "faas.", "error.type", "url.scheme")
"""Attributes of the semantic conventions say what an operation *is*; those of the program are its data."""

_DATA: Final = (
    *("http.request.header.", "http.response.header.", "http.request.body", "http.response.body"),
    *("http.url", "http.target", "http.host", "http.client_ip", "http.user_agent", "db.query.text"),
    *("db.statement", "db.user", "db.connection_string", "messaging.message.", "messaging.client"),
)
_CODES: Final = frozenset({"http.response.status_code", "http.status_code", "rpc.grpc.status_code"})
_FORBIDDEN_KEYS: Final = ["*authorization*", "*password*"]


class _Names:
    """The spans of a trace by the patterns of their names, own spans left out."""

    def __init__(self, table: SpanTable, rows: Iterable[int] | None = None) -> None:
        self.table = table
        self.parents, _ = tree_parents(table)
        every = range(len(table)) if rows is None else rows
        self.rows = [row for row in every if not table.own[row]]
        self.pattern = {row: pattern_of(table.name[row]) for row in self.rows}
        self.by_pattern: dict[str, list[int]] = {}
        for row in sorted(self.rows, key=lambda row: (table.start_ns[row] or 0, row)):
            self.by_pattern.setdefault(self.pattern[row], []).append(row)

    def parent(self, row: int) -> str | None:
        """The pattern of a span's parent, where that is a span of the program."""
        parent = self.parents[row]
        return None if parent is None else self.pattern.get(parent)

    @property
    def telling(self) -> dict[str, list[int]]:
        return {pattern: rows for pattern, rows in self.by_pattern.items() if is_telling(pattern)}


def of_trace(table: SpanTable, services: Sequence[str]) -> dict[str, Any]:
    """``[expect]`` over a whole trace: spans, edges, order, isolation.

    Parameters
    ----------
    table : SpanTable
        The trace; own spans are looked over.
    services : sequence of str
        Services of the file: their hosts are inside.
    """
    names = _Names(table)
    spans = list(names.telling.items())[:_MOST_SPANS]
    hermeticity: dict[str, Any] = {"no_external_services": True} if services else {}
    return {
        "span": [_span(names, pattern, rows) for pattern, rows in spans],
        "graph": {"must_include": _edges(names), "acyclic": True, "must_be_connected": True},
        "order": {"must_precede": _orders(names)},
        "hermeticity": hermeticity | {"span_attrs": {"forbid_keys": _FORBIDDEN_KEYS}},
    }


def of_scenario(table: SpanTable, rows: Iterable[int] | None = None) -> dict[str, Any]:
    """``[expect]`` over the spans of one scenario (``None``: all): how many, and which failed."""
    names = _Names(table, rows)
    failed = sorted(
        {table.name[row] for row in names.rows if _STATUS_WORDS[table.status_code[row]] == "ERROR"}
    )
    counts = {pattern: _count(pattern, rows) for pattern, rows in names.telling.items()}
    is_exact = all("eq" in bound for bound in counts.values()) and len(counts) == len(names.by_pattern)
    total = {"eq" if is_exact else "gte": len(names.rows) if is_exact else max(len(counts), 1)}
    services = Counter(table.resource[row].service for row in names.rows)
    status = {"failed_spans": failed} if failed else {"none": "ERROR"}
    if any(varies(name) for name in failed):
        status = {}
    return {
        "status": status,
        "counts": {
            "spans_total": total,
            "by_name": dict(list(counts.items())[:_MOST_SPANS]),
            "by_service": {name: {"gte": 1} for name in services},
        },
    }


def _count(pattern: str, rows: Sequence[int]) -> dict[str, int]:
    # How many things have an id in their name depends on the data.
    return {"gte": 1} if "*" in pattern else {"eq": len(rows)}


def _span(names: _Names, pattern: str, rows: Sequence[int]) -> dict[str, Any]:
    table = names.table
    block: dict[str, Any] = {"name": pattern}
    kinds = {KINDS[table.kind[row]] for row in rows}
    if len(kinds) == 1 and "unspecified" not in kinds:
        block["kind"] = kinds.pop()
    parents = {names.parent(row) for row in rows}
    parent = parents.pop() if len(parents) == 1 else None
    if parent is not None and is_telling(parent):
        block["parent"] = parent
    statuses = {_STATUS_WORDS[table.status_code[row]] for row in rows}
    if len(statuses) == 1 and "UNSET" not in statuses:
        block["status"] = statuses.pop()
    if attributes := _attributes([table.attributes[row] for row in rows]):
        block["attrs"] = {"all": attributes}
    events = set.intersection(*({event.name for event in table.events[row]} for row in rows))
    if stable := sorted(name for name in events if not varies(name) and "[" not in name)[:_MOST_EVENTS]:
        block["events"] = {"all": stable}
    return block


def _attributes(of_rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Attributes that all spans share and that say what the operation is."""
    first = keep("attribute", of_rows[0])
    shared = {
        key: value
        for key, value in first.items()
        if _is_stable(key, value) and all(other.get(key) == value for other in of_rows)
    }
    return dict(sorted(shared.items(), key=_rank)[:_MOST_ATTRIBUTES])


def _rank(item: tuple[str, Any]) -> tuple[int, str]:
    return next(n for n, family in enumerate(_FAMILIES) if item[0].startswith(family)), item[0]


def _is_stable(key: str, value: Any) -> bool:
    if not key.startswith(_FAMILIES) or key.startswith(_DATA) or names_a_secret(key.replace(".", "_")):
        return False
    if isinstance(value, str):
        return 0 < len(value) <= _LONGEST_VALUE and (
            key in _CODES or key == "error.type" or not varies(value)
        )
    return isinstance(value, bool) or (isinstance(value, int) and key in _CODES)


def _edges(names: _Names) -> list[list[str]]:
    """Who is called by whom, each pair once, in order of first appearance."""
    edges: dict[tuple[str, str], None] = {}
    for pattern, rows in names.telling.items():
        for row in rows:
            parent = names.parent(row)
            if parent is not None and is_telling(parent):
                edges.setdefault((parent, pattern))
    return [list(edge) for edge in list(edges)[:_MOST_EDGES]]


def _orders(names: _Names) -> list[list[str]]:
    """Neighbours below one parent where the one begins after the other has ended, wherever both are."""
    table = names.table
    pairs: dict[tuple[str, str], None] = {}
    for rows in children_of(names.parents):
        known = [row for row in rows if row in names.pattern and table.start_ns[row] and table.end_ns[row]]
        known.sort(key=lambda row: table.start_ns[row] or 0)
        for first, second in pairwise(known):
            pair = names.pattern[first], names.pattern[second]
            if pair[0] != pair[1] and (table.end_ns[first] or 0) <= (table.start_ns[second] or 0):
                pairs.setdefault(pair)
    unclear = {pair for pair in pairs if pair[::-1] in pairs}
    orders = [pair for pair in pairs if pair not in unclear and all(map(is_telling, pair))]
    return [list(pair) for pair in orders[:_MOST_ORDERS]]


# ---------------------------------------------------------------------------------------------- pruning


def pruned(document: dict[str, Any], table: SpanTable) -> dict[str, Any]:
    """`document` without the expectations that its own trace does not meet, or that contradict each other.

    Parameters
    ----------
    document : dict
        A whole scenario file as a document; its expectations are changed in place.
    table : SpanTable
        The trace it was made from, with the scenario of each span.
    """
    findings = Findings()
    test = draft(document, "scaffold", {}, findings)
    check_cycles(test, document, findings)
    wrong = {result.source for result in evaluate(test, _outcome(test, table)) if result.status != "passed"}
    for finding in findings.items:
        # Names that stand at several places of a trace have no one order.
        if finding.code == "CLN406":
            wrong.add(finding.path[:_ORDER_DEPTH])
        elif finding.code == "CLN404":
            wrong.add(("expect", "order", "must_precede"))
    for path in sorted(wrong, key=_order_of_removal, reverse=True):
        _remove(document, path)
    return _without_empty(document)


def _outcome(test: TestFile, table: SpanTable) -> TestOutcome:
    return TestOutcome(
        id="scaffold",
        name="scaffold",
        backend="docker",
        hermetic=True,
        scenarios=[ScenarioOutcome(scenario.name) for scenario in test.scenarios],
        spans=table,
    )


def _order_of_removal(path: KeyPath) -> tuple[tuple[str, int], ...]:
    """Later entries of an array go first, so that the places of the others stay."""
    return tuple((part, 0) if isinstance(part, str) else ("", part) for part in path)


def _remove(document: dict[str, Any], path: KeyPath) -> None:
    holder: Any = document
    for part in path[:-1]:
        holder = holder.get(part) if isinstance(holder, dict) else holder[int(part)]
        if holder is None:
            return
    last = path[-1]
    if isinstance(holder, list) and isinstance(last, int):
        del holder[last]
    elif isinstance(holder, dict):
        holder.pop(last, None)


def _without_empty(document: dict[str, Any]) -> dict[str, Any]:
    for holder in (document, *document.get("scenario", ())):
        expect: Mapping[str, Any] = holder.get("expect", {})
        for table in expect.values():
            if isinstance(table, dict):
                for key in [key for key, value in table.items() if value in ({}, [])]:
                    del table[key]
        holder["expect"] = {key: value for key, value in expect.items() if value}
        if not holder["expect"]:
            del holder["expect"]
    return document
