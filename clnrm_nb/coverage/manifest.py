"""Coverage manifests: ``[system]``, ``[weights]`` and ``[dimensions]``, read with a place for every finding.

Six dimensions, each a list of behaviours:

=====================  ============================================================================
``api_surface``        ``endpoints`` [str]
``state_transitions``  ``[[entities]]`` ``name``, ``states`` [str], ``[[transitions]]`` from, to, trigger
``error_scenarios``    ``[[scenarios]]`` ``name``, ``code``, ``description``
``data_flows``         ``[[flows]]`` ``name``, ``steps`` [str], ``description``
``integrations``       ``[[services]]`` ``name``, ``operations`` [str], ``service_type``
``span_coverage``      ``expected_spans`` [str]
=====================  ============================================================================

An unknown key is named and costs nothing; a value of a wrong type is an error.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.config.nearest import nearest
from clnrm_nb.scenario.findings import Findings, locate_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from clnrm_nb.errors import Diagnostic
    from clnrm_nb.scenario.findings import Locator
    from clnrm_nb.scenario.model import KeyPath

__all__ = ["DIMENSIONS", "Item", "Manifest", "read_manifest"]

DIMENSIONS: Final[dict[str, float]] = {
    "api_surface": 0.20,
    "state_transitions": 0.20,
    "error_scenarios": 0.15,
    "data_flows": 0.20,
    "integrations": 0.15,
    "span_coverage": 0.10,
}
"""The dimensions with their weights where a manifest gives none."""

_TOP: Final = frozenset(("system", "weights", "dimensions"))
_SYSTEM: Final = frozenset(("name", "version", "description"))
_SLACK: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Item:
    """One behaviour.

    Parameters
    ----------
    name : str
        As the report names it.
    terms : tuple of str
        What evidence must say: an endpoint, a span's name; entity, from and to; service and operation; the
        steps of a flow in order.
    """

    name: str
    terms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest.

    Parameters
    ----------
    system : str
        Name of the system.
    weights : mapping of str to float
        Of the dimensions it has, as written; they need not sum to 1 any more once some are missing.
    dimensions : mapping of str to tuple of Item
        In the order of :data:`DIMENSIONS`.
    """

    system: str
    weights: Mapping[str, float]
    dimensions: Mapping[str, tuple[Item, ...]]
    diagnostics: list[Diagnostic] = field(default_factory=list)


def read_manifest(document: Mapping[str, Any], locator: Locator) -> Manifest:
    """Read a manifest.

    Parameters
    ----------
    document : mapping
        The parsed file; has ``system`` and ``dimensions``.
    locator : Locator
        Knows where keys stand.

    Returns
    -------
    Manifest
        Findings among its ``diagnostics``: CLN301 (unknown key), CLN303, CLN304, CLN305, CLN307.
    """
    reader = _Reader()
    reader.keys((), document, _TOP)
    system = reader.table(("system",), document.get("system"))
    reader.keys(("system",), system, _SYSTEM)
    given = reader.table(("dimensions",), document.get("dimensions"))
    reader.keys(("dimensions",), given, DIMENSIONS)
    dimensions = {
        name: tuple(
            _READERS[name](reader, ("dimensions", name), reader.table(("dimensions", name), given[name]))
        )
        for name in DIMENSIONS
        if name in given
    }
    if not dimensions:
        message = f"`[dimensions]` needs at least one of {', '.join(f'`{name}`' for name in DIMENSIONS)}"
        reader.findings.add("CLN304", ("dimensions",), message, part="header")
    weights = _weights(reader, document, dimensions)
    name = system.get("name")
    if not isinstance(name, str) or not name.strip():
        reader.findings.add("CLN304", ("system",), "`[system]` needs `name`", part="header")
    found = locate_all(reader.findings.items, locator)
    return Manifest(str(name or ""), weights, dimensions, sorted(found, key=lambda one: one.sort_key))


def _weights(reader: _Reader, document: Mapping[str, Any], dimensions: Mapping[str, Any]) -> dict[str, float]:
    """Weights of the dimensions there are: the manifest's, which sum to 1, or the usual ones."""
    if "weights" not in document:
        return {name: DIMENSIONS[name] for name in dimensions}
    path = ("weights",)
    given = reader.table(path, document["weights"])
    reader.keys(path, given, DIMENSIONS)
    weights: dict[str, float] = {}
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            reader.findings.wrong_type((*path, name), "number", value)
        elif not 0 <= value <= 1:
            reader.findings.add("CLN307", (*path, name), f"`{name}` must be between 0 and 1")
        elif name in DIMENSIONS:
            weights[name] = float(value)
    if len(weights) == len(given) and abs(sum(weights.values()) - 1) > _SLACK:
        message = f"weights must sum to 1, these give {sum(weights.values()):g}"
        reader.findings.add("CLN307", path, message, part="header")
    for name in dimensions:
        if name not in given:
            reader.findings.add("CLN304", path, f"`[weights]` needs `{name}`", part="header")
    return {name: weights.get(name, 0.0) for name in dimensions}


class _Reader:
    """Values of the types that are wanted, findings for the rest."""

    def __init__(self) -> None:
        self.findings = Findings()

    def keys(
        self, path: KeyPath, table: Mapping[str, Any], known: Mapping[str, Any] | frozenset[str]
    ) -> None:
        for key in table:
            if key not in known and not key.startswith(("x-", "x_")):
                guess = nearest(key, known)
                meant = f"; did you mean `{guess}`?" if guess else ""
                self.findings.add("CLN301", (*path, key), f"unknown key `{key}`{meant}", part="key")

    def table(self, path: KeyPath, value: Any) -> Mapping[str, Any]:
        if isinstance(value, dict):
            return value
        if value is not None:
            self.findings.wrong_type(path, "table", value)
        return {}

    def texts(self, path: KeyPath, value: Any) -> list[str]:
        """An array of texts that are not blank; a key that is not there gives none."""
        if value is None:
            return []
        if not isinstance(value, list):
            self.findings.wrong_type(path, "array of strings", value)
            return []
        texts = []
        for index, entry in enumerate(value):
            if self.text((*path, index), entry):
                texts.append(entry)
        return texts

    def text(self, path: KeyPath, value: Any) -> str:
        if isinstance(value, str) and value.strip():
            return value
        if isinstance(value, str):
            self.findings.add("CLN305", path, "a name must not be blank")
        else:
            self.findings.wrong_type(path, "string", value)
        return ""

    def tables(
        self, path: KeyPath, value: Any, known: frozenset[str]
    ) -> Iterator[tuple[KeyPath, Mapping[str, Any], str]]:
        """The tables of an array, each with its path and its name."""
        if value is not None and not isinstance(value, list):
            self.findings.wrong_type(path, "array of tables", value)
            return
        for index, entry in enumerate(value or ()):
            here = (*path, index)
            table = self.table(here, entry)
            self.keys(here, table, known)
            if table and "name" not in table:
                self.findings.add("CLN304", here, f"`[[{path[-1]}]]` needs `name`", part="header")
            elif table and (name := self.text((*here, "name"), table["name"])):
                yield here, table, name


def _endpoints(reader: _Reader, path: KeyPath, table: Mapping[str, Any]) -> Iterator[Item]:
    reader.keys(path, table, frozenset(("endpoints",)))
    for text in reader.texts((*path, "endpoints"), table.get("endpoints")):
        yield Item(text, (text,))


def _transitions(reader: _Reader, path: KeyPath, table: Mapping[str, Any]) -> Iterator[Item]:
    reader.keys(path, table, frozenset(("entities",)))
    known = frozenset(("name", "states", "transitions"))
    for here, entity, name in reader.tables((*path, "entities"), table.get("entities"), known):
        states = reader.texts((*here, "states"), entity.get("states"))
        steps = entity.get("transitions") or ()
        if not isinstance(steps, list | tuple):
            reader.findings.wrong_type((*here, "transitions"), "array of tables", steps)
            continue
        for index, step in enumerate(steps):
            place = (*here, "transitions", index)
            step_table = reader.table(place, step)
            reader.keys(place, step_table, frozenset(("from", "to", "trigger")))
            ends = [
                reader.text((*place, end), step_table[end])
                if end in step_table
                else _missing(reader, place, end)
                for end in ("from", "to")
            ]
            for end in ends:
                if end and states and end not in states:
                    reader.findings.add("CLN306", place, f"`{end}` is not a state of {name}", part="header")
            if all(ends):
                yield Item(f"{name}: {ends[0]} → {ends[1]}", (name, *ends))


def _missing(reader: _Reader, path: KeyPath, key: str) -> str:
    reader.findings.add("CLN304", path, f"`[[transitions]]` needs `{key}`", part="header")
    return ""


def _errors(reader: _Reader, path: KeyPath, table: Mapping[str, Any]) -> Iterator[Item]:
    reader.keys(path, table, frozenset(("scenarios",)))
    known = frozenset(("name", "code", "description"))
    for _, _, name in reader.tables((*path, "scenarios"), table.get("scenarios"), known):
        yield Item(name, (name,))


def _flows(reader: _Reader, path: KeyPath, table: Mapping[str, Any]) -> Iterator[Item]:
    reader.keys(path, table, frozenset(("flows",)))
    known = frozenset(("name", "steps", "description"))
    for here, flow, name in reader.tables((*path, "flows"), table.get("flows"), known):
        steps = reader.texts((*here, "steps"), flow.get("steps"))
        yield Item(name, tuple(steps) or (name,))


def _operations(reader: _Reader, path: KeyPath, table: Mapping[str, Any]) -> Iterator[Item]:
    reader.keys(path, table, frozenset(("services",)))
    known = frozenset(("name", "operations", "service_type", "description"))
    for here, service, name in reader.tables((*path, "services"), table.get("services"), known):
        for operation in reader.texts((*here, "operations"), service.get("operations")):
            yield Item(f"{name}: {operation}", (name, operation))


def _spans(reader: _Reader, path: KeyPath, table: Mapping[str, Any]) -> Iterator[Item]:
    reader.keys(path, table, frozenset(("expected_spans",)))
    for text in reader.texts((*path, "expected_spans"), table.get("expected_spans")):
        yield Item(text, (text,))


_READERS: Final[dict[str, Callable[[_Reader, KeyPath, Mapping[str, Any]], Iterator[Item]]]] = {
    "api_surface": _endpoints,
    "state_transitions": _transitions,
    "error_scenarios": _errors,
    "data_flows": _flows,
    "integrations": _operations,
    "span_coverage": _spans,
}
