"""A recorded trace as a first scenario: who took part, what was done, what to expect when it is done again.

A trace does not say how its programs are started. From a recording of ``clnrm`` the commands are known, and
the images; of any other trace both are left to a person, in a place that fails until it is filled.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.executor.recording import parse_recording
from clnrm_nb.scaffold.names import slug
from clnrm_nb.scaffold.paper import IMAGE, Paper, literal, placeholder
from clnrm_nb.scaffold.proposals import of_scenario, of_trace, pruned
from clnrm_nb.spans.loaders import load
from clnrm_nb.spans.model import KINDS
from clnrm_nb.spans.table import SpanTable
from clnrm_nb.spans.topology import tree_parents

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["Seen", "from_trace", "read_recording", "read_spans"]

_MOST_SCENARIOS: Final = 12
_SERVICE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_WIDE: Final = 80
_BY: Final = frozenset({"by_name", "by_service", "spans_total"})
"""Tables whose keys are names or bounds, which are not written with a dot."""

_SERVED: Final = frozenset({"server", "consumer"})


@dataclass(frozen=True, slots=True)
class Seen:
    """What was read.

    Parameters
    ----------
    table : SpanTable
        All spans, each with its scenario where that is known.
    commands : mapping
        By scenario, in order, as in a recording; empty where nothing is known of commands.
    notes : list of str
        What a person should know of the reading.
    """

    table: SpanTable
    commands: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read_recording(data: bytes) -> Seen | None:
    """A recording of ``clnrm``; ``None`` if `data` is something else.

    Raises
    ------
    ClnrmError
        CLN618: it is damaged, or of a format not known here.
    """
    tests = parse_recording(data)
    if not tests:
        return None
    import orjson

    table = SpanTable()
    for spans in tests[0].spans.values():
        table.extend(spans)
    written = orjson.loads(data)["tests"][0]["scenarios"]
    commands = {str(scenario["name"]): scenario["commands"] for scenario in written}
    notes = [f"the recording holds {len(tests)} tests; this is {tests[0].id}"] if len(tests) > 1 else []
    return Seen(table, commands, notes)


def read_spans(
    source: Path | str | bytes, input_format: str | None = None, *, name: str | None = None
) -> Seen:
    """Spans of any form that can be read, called `name` in messages. Raises ClnrmError CLN607 without any."""
    table, report = load(source, input_format=input_format, name=name)
    return Seen(table, notes=[str(finding.message) for finding in report.diagnostics])


def from_trace(seen: Seen, *, name: str) -> str:
    """A scenario file for a trace.

    Parameters
    ----------
    seen : Seen
        What was read.
    name : str
        How the file is called in the comments.
    """
    services = _services(seen.table)
    scenarios = _scenarios(seen)
    document: dict[str, Any] = {
        "meta": {"name": slug(name.rsplit("/", 1)[-1].partition(".")[0]), "version": "0.1.0"},
        "services": {each: {"image": image or IMAGE} for each, image in services.items()},
        "scenario": [{"name": title, "run": "true", "expect": {}} for title in scenarios],
        "expect": of_trace(seen.table, list(services)),
    }
    by_scenario = _rows_by_scenario(seen.table)
    for entry in document["scenario"]:
        if entry["name"] in by_scenario:
            entry["expect"] = of_scenario(seen.table, by_scenario[entry["name"]])
    if not by_scenario:
        # The spans of several root operations, but nobody knows whose they will be: expected of all together.
        document["expect"] |= of_scenario(seen.table)
    return _written(pruned(document, seen.table), seen, name, services, scenarios)


def _rows_by_scenario(table: SpanTable) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = {}
    for row, scenario in enumerate(table.scenario):
        if scenario is not None and not table.own[row]:
            rows.setdefault(scenario, []).append(row)
    return rows


def _services(table: SpanTable) -> dict[str, str | None]:
    """Services with their images, as far as they are known: those that were started, or that served."""
    started: dict[str, str | None] = {}
    for row in range(len(table)):
        if table.own[row] and table.name[row] == "clnrm.service.start":
            images = [event.attributes.get("container.image.name") for event in table.events[row]]
            named = str(table.attributes[row].get("clnrm.service.name", ""))
            started[named] = next((str(image) for image in images if image), None)
    if started:
        return {service: image for service, image in started.items() if _SERVICE_NAME.fullmatch(service)}
    served = {
        table.resource[row].service: None
        for row in range(len(table))
        if not table.own[row] and KINDS[table.kind[row]] in _SERVED
    }
    return {service: None for service in served if _SERVICE_NAME.fullmatch(service)}


def _roots(table: SpanTable) -> list[int]:
    """Spans of the program with no span of the program above them, by start."""
    parents, _ = tree_parents(table)
    rows = [
        row
        for row, parent in enumerate(parents)
        if not table.own[row] and (parent is None or table.own[parent])
    ]
    return sorted(rows, key=lambda row: (table.start_ns[row] or 0, row))


def _scenarios(seen: Seen) -> dict[str, int]:
    """Names of scenarios with a root span of each: the recorded ones, else one for each root operation."""
    table, found = seen.table, dict[str, int]()
    roots = _roots(table)
    known = [*seen.commands] or [*dict.fromkeys(name for name in table.scenario if name is not None)]
    if known:
        first = {table.scenario[row]: row for row in reversed(roots)}
        return {name: first.get(name, -1) for name in known}
    for row in roots:
        found.setdefault(slug(table.name[row]), row)
    return dict(list(found.items())[:_MOST_SCENARIOS])


# ----------------------------------------------------------------------------------------------- the file


def _written(
    document: Mapping[str, Any],
    seen: Seen,
    name: str,
    services: Mapping[str, str | None],
    scenarios: Mapping[str, int],
) -> str:
    paper = Paper()
    paper.comment(f"Made from {name} by `clnrm scaffold`. TODO marks what a person must decide.")
    paper.comment(
        "Everything expected here was so in that trace. Loosen what may vary, drop what says nothing."
    )
    if not seen.commands:
        paper.comment(
            "As it stands it is valid, and fails when it runs: the trace does not say how it was made."
        )
    for note in seen.notes:
        paper.comment(note)
    paper.table("meta")
    for key, value in document["meta"].items():
        paper.key(key, value)
    paper.key("description", "TODO: what this test shows")
    paper.table("otel")
    paper.key("exporter", "otlp")
    paper.key("sample_ratio", 1.0)
    for service, image in services.items():
        paper.table("services", service)
        paper.comment(
            "TODO its args, env, ports and health_check" if image else "TODO name the image, its args, env"
        )
        paper.key("image", image or IMAGE)
    for entry in document["scenario"]:
        _write_scenario(paper, entry, seen, services, scenarios[entry["name"]])
    _write_expect(paper, (), document.get("expect", {}))
    return paper.text()


def _write_scenario(
    paper: Paper, entry: Mapping[str, Any], seen: Seen, services: Mapping[str, str | None], root: int
) -> None:
    actor = seen.table.resource[root].service if root >= 0 else None
    env = {"OTEL_SERVICE_NAME": actor} if actor and actor not in services else None
    paper.table("scenario", is_array=True)
    paper.key("name", entry["name"])
    if root >= 0:
        paper.key("description", f"TODO: {seen.table.name[root]}")
    commands = seen.commands.get(entry["name"], ())
    for number, command in enumerate(commands):
        paper.table("scenario", "steps", is_array=True)
        paper.key("name", str(command["name"]))
        paper.key("service", command.get("service") if command.get("service") in services else None)
        paper.key(
            "command", [str(word) for word in command.get("argv") or ()] or placeholder("write the command")
        )
        paper.key("env", env if number == 0 else None)
        paper.key("expected_exit_code", command.get("exit_code") or None)
    if not commands:
        paper.table("scenario", "steps", is_array=True)
        paper.key("name", "run")
        paper.key("command", placeholder(f"write the command that starts {slug(seen.table.name[root])}"))
        paper.key("env", env)
    _write_expect(paper, ("scenario",), entry.get("expect", {}))


def _write_expect(paper: Paper, prefix: tuple[str, ...], expect: Mapping[str, Any]) -> None:
    for kind, block in expect.items():
        for table in block if isinstance(block, list) else (block,):
            paper.table(*prefix, "expect", kind, is_array=isinstance(block, list))
            path = (*prefix, "expect", kind)
            _write_table(paper, path, table)


def _write_table(paper: Paper, path: tuple[str, ...], table: Mapping[str, Any]) -> None:
    """The keys of a table: one with a single key inside is written with a dot, a wide one by itself."""
    wide = []
    for key, value in table.items():
        if isinstance(value, dict) and len(value) == 1 and key not in _BY:
            inner = next(iter(value))
            paper.key(f"{key}.{inner}", value[inner])
        elif isinstance(value, dict) and len(literal(value)) > _WIDE:
            wide.append(key)
        else:
            paper.key(key, value)
    for key in wide:
        paper.table(*path, key)
        for name, value in table[key].items():
            paper.key(name, value)
