"""``[matrix]`` → combinations (``format.md`` 3.4)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from itertools import product
from typing import Any, Final

from clnrm_nb.template.faults import Fault
from clnrm_nb.template.values import equal, json_text

__all__ = ["Expansion", "MatrixProblem", "expand"]

_RESERVED: Final = ("exclude", "include", "max")
_LARGE: Final = 256
_LIMIT: Final = 10_000
_MOST_CONSIDERED: Final = 100_000
"""Combinations looked at, the excluded ones included: a second's work."""


class MatrixProblem(Exception):  # noqa: N818 - a finding in the making
    """A matrix that cannot be expanded; `key` is the entry concerned."""

    def __init__(self, key: str | None, message: str) -> None:
        super().__init__(message)
        self.key = key
        self.message = message


class Expansion(list[dict[str, Any]]):
    """Combinations in order; `total` counts them before ``max``."""

    total: int = 0

    @property
    def is_large(self) -> bool:
        """Whether there are more than anybody wants by accident (CLN114)."""
        return len(self) > _LARGE


def expand(table: Mapping[str, Any], seed: int | None) -> Expansion:
    """All combinations: keys in file order, last fastest, then ``exclude``, ``include`` and ``max``.

    Raises
    ------
    MatrixProblem
        CLN113.
    """
    axes = {name: values for name, values in table.items() if name not in _RESERVED}
    for name, values in axes.items():
        if not isinstance(values, list) or not values or not all(map(_is_scalar, values)):
            raise MatrixProblem(name, f"`matrix.{name}` must be a non-empty array of scalars")
    combinations = Expansion()
    if axes:
        excluded = _rules(table, "exclude")
        for considered, values in enumerate(product(*axes.values())):
            combination = dict(zip(axes, values, strict=True))
            if not any(_covers(rule, combination) for rule in excluded):
                combinations.append(combination)
            if considered >= _MOST_CONSIDERED or len(combinations) > _LIMIT:
                raise MatrixProblem(None, f"the matrix has more than {_LIMIT} combinations")
    for added in _rules(table, "include"):
        if not any(equal(added, present) for present in combinations):
            combinations.append(added)
    if not combinations:
        raise MatrixProblem(None, "the matrix has no combination left" if axes else "the matrix is empty")
    combinations.total = len(combinations)
    return _subset(combinations, table.get("max"), seed)


def _is_scalar(value: Any) -> bool:
    return isinstance(value, (str, int, float, bool))


def _rules(table: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    rules = table.get(key, [])
    is_valid = isinstance(rules, list) and all(
        isinstance(rule, dict) and rule and all(map(_is_scalar, rule.values())) for rule in rules
    )
    if not is_valid:
        raise MatrixProblem(key, f"`matrix.{key}` must be an array of tables of scalars")
    return list(rules)


def _covers(rule: Mapping[str, Any], combination: Mapping[str, Any]) -> bool:
    return all(name in combination and equal(combination[name], value) for name, value in rule.items())


def _rank(combination: dict[str, Any], seed: int | None) -> bytes:
    return hashlib.sha256(f"{seed or 0}|{json_text(combination)}".encode()).digest()


def _subset(combinations: Expansion, limit: Any, seed: int | None) -> Expansion:
    """At most `limit` of them, in their order: those whose hashes under the seed come first."""
    if limit is None:
        return combinations
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
        raise MatrixProblem("max", "`matrix.max` must be a positive integer")
    if len(combinations) <= limit:
        return combinations
    # A hash for each, not a shuffle of all: adding a value to the matrix keeps most of the subset.
    try:
        ranked = sorted(range(len(combinations)), key=lambda index: _rank(combinations[index], seed))
    except Fault as fault:  # a value without JSON form
        raise MatrixProblem(None, f"the matrix cannot be cut down: {fault.message}") from fault
    kept = Expansion(combinations[index] for index in sorted(ranked[:limit]))
    kept.total = combinations.total
    return kept
