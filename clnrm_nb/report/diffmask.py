"""Secrets out of a comparison: every text of edits, causes, spans and findings through the mask.

Ids stay: they are digests. Patches go, because what is shown is not what is applied.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from clnrm_nb.diff.model import Patch
from clnrm_nb.report.text import json_ready

if TYPE_CHECKING:
    from clnrm_nb.diff.model import Diff, Edit
    from clnrm_nb.report.difflayout import Compared
    from clnrm_nb.report.text import Mask

__all__ = ["masked"]


def masked(compared: Compared, mask: Mask) -> Compared:
    """A copy with every text masked."""
    return replace(
        compared,
        diff=_diff(compared.diff, _Once(mask)) if compared.diff is not None else None,
        diagnostics=[
            replace(f, message=mask(f.message), hint=mask(f.hint) if f.hint else f.hint)
            for f in compared.diagnostics
        ],
    )


class _Once:
    """A mask that looks at equal texts once, and at ``None`` never."""

    def __init__(self, mask: Mask) -> None:
        self.mask = mask
        self._known: dict[str, str] = {}

    def __call__(self, text: str) -> str:
        if text not in self._known:
            self._known[text] = self.mask(text)
        return self._known[text]

    def optional(self, text: str | None) -> str | None:
        return None if text is None else self(text)


def _diff(diff: Diff, mask: _Once) -> Diff:
    return replace(
        diff,
        edits=tuple(_edit(edit, mask) for edit in diff.edits),
        causes=tuple(replace(cause, message=mask(cause.message)) for cause in diff.causes),
        spans=tuple(
            pair._replace(
                name=mask.optional(pair.name),
                baseline_name=mask.optional(pair.baseline_name),
                service=mask(pair.service),
            )
            for pair in diff.spans
        ),
        ignored={mask(key): number for key, number in diff.ignored.items()},
        notes=tuple(map(mask, diff.notes)),
    )


def _edit(edit: Edit, mask: _Once) -> Edit:
    texts: dict[str, Any] = {
        name: mask.optional(getattr(edit, name)) for name in ("path", "baseline_path", "key")
    }
    values = {name: json_ready(getattr(edit, name), mask) for name in ("baseline", "current")}
    texts |= {name: mask(getattr(edit, name)) for name in ("reason", "service")}
    runner_up = edit.runner_up and replace(edit.runner_up, path=mask(edit.runner_up.path))
    return replace(edit, **texts, **values, runner_up=runner_up, patch=Patch())
