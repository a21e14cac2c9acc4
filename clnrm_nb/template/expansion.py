"""The combinations of a file: its ``[matrix]``, read as rendering reads it, expanded (``format.md`` 3.4)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from clnrm_nb.template.compiler import Unit, compile_unit
from clnrm_nb.template.findings import finding_between
from clnrm_nb.template.matrix import Expansion, MatrixProblem, expand
from clnrm_nb.template.preparation import Preparation, scope_of, seed_of
from clnrm_nb.template.sources import is_templated, read_source
from clnrm_nb.template.tables import find_statements

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clnrm_nb.errors import Diagnostic
    from clnrm_nb.template.model import TemplateRequest
    from clnrm_nb.template.tables import Statement
    from clnrm_nb.template.variables import Scope

__all__ = ["combinations"]

Values = dict[int, dict[str, Any]]
"""What each statement says, by index."""


def combinations(request: TemplateRequest) -> tuple[list[dict[str, Any]], list[Diagnostic]]:
    """The combinations of a file's ``[matrix]``; one empty combination where it has none.

    A matrix that cannot be expanded gives its finding (CLN113) and one combination to stand in, so that the
    rest of the file can be checked.
    """
    source, unreadable = read_source(request)
    if unreadable is not None or "matrix" not in source:
        return [{}], []
    unit = compile_unit(source) if is_templated(request, source) else None
    statements = unit.statements if unit else find_statements(source, [])
    if not any(statement.table == ("matrix",) for statement in statements):
        return [{}], []
    scope, values = _tables(request, unit, statements)
    if not scope.matrix_table:
        return [{}], []
    unit = unit or Unit(source)
    try:
        expansion = expand(scope.matrix_table, seed_of(scope.determinism))
    except MatrixProblem as problem:
        at = _matrix_statement(statements, values, problem.key)
        finding = finding_between(request.file, unit, "CLN113", problem.message, start=at.start, end=at.end)
        return [_stand_in(scope.matrix_table)], [finding]
    at = _matrix_statement(statements, values, None)
    return expansion, _size_warning(request.file, unit, at, expansion)


def _tables(request: TemplateRequest, unit: Unit | None, statements: list[Statement]) -> tuple[Scope, Values]:
    """The tables of the file; without rendering where nothing is a marker, or a marker is wrong."""
    if unit and not unit.problems:
        prepared = Preparation(request).prepared(unit)
        return prepared.scope, prepared.values
    scope, values = scope_of(request), {}
    for index, statement in enumerate(statements):
        if statement.values is not None:
            values[index] = statement.values
            scope.add(statement.table, statement.inner, statement.values)
    return scope, values


def _size_warning(file: str, unit: Unit, at: Statement, expansion: Expansion) -> list[Diagnostic]:
    if not expansion.is_large:
        return []
    message = f"matrix has {len(expansion)} combinations"
    finding = finding_between(file, unit, "CLN114", message, start=at.start, end=at.end)
    return [replace(finding, hint="`max = N` in [matrix] runs a stable subset")]


def _matrix_statement(statements: list[Statement], values: Mapping[int, Any], key: str | None) -> Statement:
    """The statement that defines a key of the matrix; the first one of it for none."""
    of_matrix = [(i, s) for i, s in enumerate(statements) if s.table == ("matrix",)]
    for index, statement in of_matrix:
        if key is not None and key in values.get(index, {}):
            return statement
    return of_matrix[0][1]


def _stand_in(table: Mapping[str, Any]) -> dict[str, Any]:
    axes = ((name, value) for name, value in table.items() if name not in ("include", "exclude", "max"))
    return {
        name: value[0]
        if isinstance(value, list) and value and isinstance(value[0], (str, int, float))
        else ""
        for name, value in axes
    }
