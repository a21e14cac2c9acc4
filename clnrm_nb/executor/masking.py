"""Secrets out of what a test leaves: its outcome, its spans, the files copied out of its containers.

Done where foreign text has just become a record and before anything is written or told, so that no report has
to think of it. Names of tests and scenarios stay, as the records of a run are found by them; reports mask
them as all other text.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from clnrm_nb.errors import ClnrmError, Diagnostic
from clnrm_nb.secrets import Masker
from clnrm_nb.spans.model import Event, Link, Resource, Scope

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from clnrm_nb.executor.outcome import TestOutcome
    from clnrm_nb.executor.plan import TestPlan
    from clnrm_nb.spans.table import SpanTable

__all__ = [
    "mask_error",
    "mask_files",
    "mask_outcome",
    "mask_spans",
    "masked_finding",
    "masker_of_plans",
]

# Rows looked at together: nearly always there is nothing in them.
_ROWS: Final = 256


def masker_of_plans(plans: Iterable[TestPlan], environ: Mapping[str, str]) -> Masker:
    """What hides the values of all ``[secrets]`` of some tests."""
    return Masker(environ[name] for plan in plans for name in plan.test.secrets.env if name in environ)


def masked_finding(finding: Diagnostic, masker: Masker) -> Diagnostic:
    """The same finding without secrets; its repair stays, which is made of what stands in the file."""
    if not masker:
        return finding
    return replace(
        finding,
        message=masker.text(finding.message),
        hint=masker.text(finding.hint) if finding.hint else finding.hint,
        related=tuple(replace(one, message=masker.text(one.message)) for one in finding.related),
    )


def mask_outcome(outcome: TestOutcome, masker: Masker) -> None:
    """Mask all texts of an outcome but names, in place; again: nothing changes."""
    if not masker:
        return
    outcome.matrix = masker.value(outcome.matrix)
    outcome.reason = masker.value(outcome.reason)
    outcome.diagnostics = [masked_finding(finding, masker) for finding in outcome.diagnostics]
    for scenario in outcome.scenarios:
        scenario.reason = masker.value(scenario.reason)
        for command in scenario.commands:
            command.argv = masker.value(command.argv)
            command.reason = masker.value(command.reason)
            command.stdout, command.stderr = masker.text(command.stdout), masker.text(command.stderr)
    for result in outcome.expectations:
        result.id, result.source = masker.text(result.id), masker.value(result.source)
        result.message, result.reason = masker.text(result.message), masker.value(result.reason)
        result.expected, result.actual = masker.value(result.expected), masker.value(result.actual)


def mask_spans(table: SpanTable, masker: Masker) -> None:
    """Mask the texts of all spans in place: names, messages, attributes, events, links, resources, scopes.

    Keys too; numbers and ids stay.
    """
    if not masker:
        return
    resources = {id(one): one for one in table.resource}
    scopes = {id(one): one for one in table.scope}
    new_resources = {key: Resource(masker.value(one.attributes)) for key, one in resources.items()}
    new_scopes = {key: Scope(masker.text(one.name), masker.text(one.version)) for key, one in scopes.items()}
    table.resource[:] = [new_resources[id(one)] for one in table.resource]
    table.scope[:] = [new_scopes[id(one)] for one in table.scope]
    for first in range(0, len(table), _ROWS):
        rows = slice(first, first + _ROWS)
        columns = (table.name, table.status_message, table.attributes, table.events, table.links)
        if not masker.is_clean([column[rows] for column in columns]):
            for row in range(*rows.indices(len(table))):
                _mask_row(table, row, masker)


def _mask_row(table: SpanTable, row: int, masker: Masker) -> None:
    table.name[row] = masker.text(table.name[row])
    table.status_message[row] = masker.text(table.status_message[row])
    table.attributes[row] = masker.value(table.attributes[row])
    table.events[row] = tuple(
        Event(masker.text(event.name), event.time_ns, masker.value(event.attributes))
        for event in table.events[row]
    )
    table.links[row] = tuple(
        Link(link.trace_id, link.span_id, masker.value(link.attributes)) for link in table.links[row]
    )


def mask_files(directory: Path, masker: Masker) -> None:
    """Mask contents and names of all files copied into an artifact directory, in place.

    Raises
    ------
    OSError
        A file cannot be read or written.
    """
    if not masker:
        return
    for path in sorted(directory.glob("*/files/**/*"), reverse=True):
        if path.is_file() and not path.is_symlink():
            data = path.read_bytes()
            masked = masker.data(data)
            if masked is not data:
                path.write_bytes(masked)
        name = masker.text(path.name)
        if name != path.name:
            path.rename(_free(path.with_name(name)))


def _free(path: Path) -> Path:
    """`path`, or with the first number that makes it nobody's: two names may look alike once masked."""
    number = 1
    free = path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}-{number}")
    return free


def mask_error(error: BaseException, masker: Masker) -> None:
    """Mask what an error, its causes and its notes say, in place: tracebacks show all of them."""
    seen: set[int] = set()
    pending: list[BaseException | None] = [error]
    while pending:
        one = pending.pop()
        if one is None or id(one) in seen or not masker:
            continue
        seen.add(id(one))
        pending += [one.__cause__, one.__context__, *getattr(one, "exceptions", ())]
        one.args = masker.value(one.args)
        if hasattr(one, "__notes__"):
            one.__notes__ = masker.value(one.__notes__)
        if isinstance(one, ClnrmError):
            one.message, one.hint = masker.text(one.message), masker.value(one.hint)
            one.diagnostics = tuple(masked_finding(finding, masker) for finding in one.diagnostics)
