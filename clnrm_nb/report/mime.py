"""What ``_repr_mimebundle_`` returns: only the forms that were asked for are made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping

__all__ = ["bundle"]


def bundle(
    makers: Mapping[str, Callable[[], Any]],
    include: Container[str] | None = None,
    exclude: Container[str] | None = None,
) -> dict[str, Any]:
    """The forms in `include` (all, where it is empty) and not in `exclude`.

    Parameters
    ----------
    makers : mapping
        MIME type → function that makes that form.
    """
    return {
        kind: make()
        for kind, make in makers.items()
        if (not include or kind in include) and not (exclude and kind in exclude)
    }
