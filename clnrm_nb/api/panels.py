"""``panel``: the tests below some paths and the variables of each, as a form needs them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.api.contexts import Context, context_of, paths_of, variables_from
from clnrm_nb.pipeline.load import Sources, load
from clnrm_nb.report.results import Table
from clnrm_nb.report.text import value_text
from clnrm_nb.secrets import MASK

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from clnrm_nb.pipeline.load import LoadedTest

__all__ = ["PanelTest", "PanelVariable", "kind_of", "panel", "panel_tests"]

_SECRET: Final = re.compile(r"token|secret|passw|credential|api_?key|private", re.IGNORECASE)
_STANDARD: Final = ("default", "environment")


@dataclass(frozen=True, slots=True)
class PanelVariable:
    """A template variable: its value now, and where it comes from.

    Parameters
    ----------
    kind : str
        ``boolean``, ``integer``, ``number``, ``text`` or ``json`` (everything else).
    is_own : bool
        Given by the file or from outside, rather than one of the standard ones.
    is_secret : bool
        Never shown, by its name.
    """

    name: str
    value: Any
    origin: str
    kind: str
    is_own: bool
    is_secret: bool


@dataclass(frozen=True, slots=True)
class PanelTest:
    """A test that can be chosen.

    Parameters
    ----------
    test_id : str
        File and matrix combination.
    path : Path
        The file.
    matrix : mapping
        The combination; empty without a matrix.
    outcome : str
        Of its validation: ``ok``, ``ok-with-warnings`` or ``error``.
    """

    test_id: str
    path: Path
    matrix: Mapping[str, Any]
    outcome: str
    variables: tuple[PanelVariable, ...]


def panel_tests(
    paths: str | Path | Sequence[str | Path] = ".", *, context: Context | None = None, **options: Any
) -> list[PanelTest]:
    """The tests below `paths`, in path order, each with its variables."""
    here = context_of(context, options)
    sources = Sources(paths_of(paths), no_template=bool(options.get("no_template")))
    loaded = load(sources, variables_from(options), project=here.project, settings=here.settings)
    return [_panel_test(test) for test in loaded.tests]


def _panel_test(test: LoadedTest) -> PanelTest:
    if test.checked is None:
        return PanelTest(test.test_id, test.directory / test.test_id.rpartition("/")[2], {}, "error", ())
    rendered = test.checked.rendered
    variables = [_variable(v.name, v.value, str(v.origin)) for v in rendered.variables]
    # The file's own first: those are the ones a person came for.
    variables.sort(key=lambda variable: not variable.is_own)
    return PanelTest(test.test_id, rendered.path, rendered.matrix, test.outcome, tuple(variables))


def _variable(name: str, value: Any, origin: str) -> PanelVariable:
    is_secret = bool(_SECRET.search(name)) and isinstance(value, str)
    return PanelVariable(name, value, origin, kind_of(value), not origin.startswith(_STANDARD), is_secret)


def kind_of(value: object) -> str:
    """The word for the type of a value."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    return "text" if isinstance(value, str) else "json"


def panel(
    paths: str | Path | Sequence[str | Path] = ".", *, context: Context | None = None, **options: Any
) -> Table:
    """What ``%clnrm panel`` shows where nobody can click: tests and their variables.

    Returns
    -------
    Table
        One row a variable; a test without one has a row of its own.
    """
    rows: list[list[Any]] = []
    for test in panel_tests(paths, context=context, **options):
        for variable in test.variables:
            value = MASK if variable.is_secret and variable.value else value_text(variable.value)
            rows.append([test.test_id, test.outcome, variable.name, variable.kind, value, variable.origin])
        if not test.variables:
            rows.append([test.test_id, test.outcome, None, None, None, None])
    header = ("test", "outcome", "variable", "type", "default", "origin")
    notes = () if rows else ("No test was found there.",)
    return Table("tests and variables", header, rows, command="panel", notes=notes)
