"""Spans made of the pieces Zipkin has of them, once all pieces are there.

Of one trace and id there may be a client's and a server's span (``shared``), each of which may have come in
several pieces. The server's gets an id of its own and the client's as its parent; spans below go to the side
whose service they belong to. Nothing depends on the order of the pieces.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.spans.content import row_bytes
from clnrm_nb.spans.model import KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clnrm_nb.spans.intake import Intake
    from clnrm_nb.spans.model import Resource
    from clnrm_nb.spans.table import SpanTable

__all__ = ["settle"]

_INTERNAL: Final = KINDS.index("internal")
_CLIENT: Final = KINDS.index("client")
_SERVER: Final = KINDS.index("server")

_Id = tuple[str, str]


def settle(intake: Intake) -> None:
    """Join pieces and tell shared ids apart; the table of the intake is replaced where rows were joined."""
    if not intake.pieces:
        return
    table = intake.table
    gone: set[int] = set()
    split: dict[_Id, tuple[int, int]] = {}
    for found, rows in _groups(intake).items():
        clients, servers = _sides(table, intake.pieces, rows)
        kept = [_joined(intake, side) for side in (clients, servers) if side]
        gone.update(row for row in rows if row not in kept)
        if clients and servers:
            split[found] = (kept[0], kept[1])
    intake.joined += len(gone)
    intake.told_apart += len(split)
    _tell_apart(table, split, gone)
    for row in intake.pieces:
        table.kind[row] = table.kind[row] or _INTERNAL
    if gone:
        intake.table = table.select([row for row in range(len(table)) if row not in gone])
    intake.pieces.clear()


def _groups(intake: Intake) -> dict[_Id, list[int]]:
    """Rows of each id that more than one piece has."""
    table = intake.table
    first: dict[_Id, int] = {}
    groups: dict[_Id, list[int]] = {}
    for row in intake.pieces:
        found = (table.trace_id[row], table.span_id[row])
        known = first.setdefault(found, row)
        if known != row:
            groups.setdefault(found, [known]).append(row)
    return groups


def _sides(table: SpanTable, pieces: dict[int, bool], rows: Sequence[int]) -> tuple[list[int], list[int]]:
    """The client's pieces and the server's; all on one side where there is only one."""
    services = {row: table.resource[row].service for row in rows}
    is_called = any(table.kind[row] == _CLIENT for row in rows) or len(set(services.values())) > 1
    servers = [row for row in rows if pieces[row] or (is_called and table.kind[row] == _SERVER)]
    serving = {services[row] for row in servers}
    calling = {services[row] for row in rows if row not in servers and table.kind[row]}
    # A piece that says nothing of its side is of the side its service is on.
    late = [
        row
        for row in rows
        if row not in servers and not table.kind[row] and services[row] in serving - calling
    ]
    servers += late
    return [row for row in rows if row not in servers], servers


def _joined(intake: Intake, rows: Sequence[int]) -> int:
    """Put all pieces of one span into one of their rows, and return that."""
    table = intake.table
    if len(rows) == 1:
        return rows[0]
    ordered = sorted(rows, key=lambda row: row_bytes(table, row))
    kept = min(rows)
    attributes: dict[str, Any] = {}
    for row in ordered:
        for key, value in table.attributes[row].items():
            intake.repeated_keys += key in attributes and attributes[key] != value
            attributes[key] = value
    events = {repr(event): event for row in ordered for event in table.events[row]}
    status = max((table.status_code[row], table.status_message[row]) for row in ordered)
    table.attributes[kept] = attributes
    table.events[kept] = tuple(sorted(events.values(), key=lambda event: (event.time_ns or 0, repr(event))))
    table.status_code[kept], table.status_message[kept] = status
    starts, ends = ([column[row] for row in ordered] for column in (table.start_ns, table.end_ns))
    table.start_ns[kept] = min((at for at in starts if at is not None), default=None)
    table.end_ns[kept] = max((at for at in ends if at is not None), default=None)
    table.name[kept] = max(table.name[row] for row in ordered)
    table.kind[kept] = max(table.kind[row] for row in ordered)
    table.parent_span_id[kept] = max(table.parent_span_id[row] or "" for row in ordered) or None
    table.resource[kept] = max((table.resource[row] for row in ordered), key=_weight)
    table.scope[kept] = max(
        (table.scope[row] for row in ordered), key=lambda scope: (scope.name, scope.version)
    )
    return kept


def _weight(resource: Resource) -> tuple[bool, int]:
    return "service.name" in resource.attributes, len(resource.attributes)


def _tell_apart(table: SpanTable, split: dict[_Id, tuple[int, int]], gone: set[int]) -> None:
    """Give the servers ids of their own, and every span below a pair the side it belongs to."""
    servers: dict[int, str] = {}
    for (_, span_id), (client, server) in split.items():
        servers[server] = hashlib.sha256(f"{span_id} server".encode()).hexdigest()[:16]
        table.parent_span_id[server] = table.span_id[client]
    if not split:
        return
    for row in range(len(table)):
        parent = table.parent_span_id[row]
        pair = split.get((table.trace_id[row], parent)) if parent is not None else None
        if pair is None or row in servers or row in gone:
            continue
        client, server = pair
        service = table.resource[row].service
        is_callers = service == table.resource[client].service != table.resource[server].service
        if not is_callers:
            table.parent_span_id[row] = servers[server]
    for row, span_id in servers.items():
        table.span_id[row] = span_id
