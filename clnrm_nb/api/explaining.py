"""``explain``: what a code means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clnrm_nb import explain as pages
from clnrm_nb.api.contexts import context_of, refuse_unknown
from clnrm_nb.report.explained import Explained

if TYPE_CHECKING:
    from clnrm_nb.api.contexts import Context

__all__ = ["explain"]


def explain(code: str, *, context: Context | None = None, **options: Any) -> Explained:
    """What a code means, why it matters, how to repair it, with a wrong and a right example.

    Parameters
    ----------
    code : str
        ``CLN301``, ``cln301`` or ``301``.

    Raises
    ------
    UsageError
        There is no such code; the nearest one is named.
    """
    context_of(context, options)
    refuse_unknown("explain", options)
    return Explained(pages.page(pages.resolve(code)))
