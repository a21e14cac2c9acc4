"""What a person may set about a comparison: the ``[diff]`` section (``format.md`` 8.3), as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clnrm_nb.diff.rules import Rule

__all__ = ["DiffOptions"]


@dataclass(frozen=True, slots=True)
class DiffOptions:
    """Settings of one comparison. They decide what counts, never what is found, nor any digest.

    Parameters
    ----------
    ignore_timestamps : bool
        False: durations count, if they change by more than both tolerances.
    order_sensitive : bool
        Whether the order in which siblings start counts.
    own_spans : bool
        Whether spans recorded by clnrm_nb itself are compared.
    ignore_attributes : tuple of str
        Globs of attribute keys that do not count.
    volatile_defaults : bool
        False: differences in volatile items count.
    duration_ms, duration_ratio : float
        Tolerances of a duration.
    attributes : mapping of str to (float, float)
        Tolerances of numbers by glob of the key: absolute, relative.
    rules : tuple of Rule
        The tolerance rules that hold for what is compared.
    """

    ignore_timestamps: bool = True
    order_sensitive: bool = False
    own_spans: bool = False
    ignore_attributes: tuple[str, ...] = ()
    volatile_defaults: bool = True
    duration_ms: float = 0.0
    duration_ratio: float = 1.0
    attributes: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
