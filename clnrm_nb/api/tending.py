"""``baseline blame`` and ``baseline gc``: where the lines of a baseline come from, and what nobody needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clnrm_nb.api.contexts import Context, context_of, refuse_unknown
from clnrm_nb.baseline import Baselines
from clnrm_nb.diff.causes import sentence
from clnrm_nb.report.blame import BaselineBlame
from clnrm_nb.report.text import number_text
from clnrm_nb.state import State

if TYPE_CHECKING:
    from clnrm_nb.baseline.blame import Blamed

__all__ = ["baseline_blame"]


def baseline_blame(
    id: str,  # noqa: A002  # The argument's name.
    *,
    context: Context | None = None,
    **options: Any,
) -> BaselineBlame:
    """Which decision made which line of a baseline file, down to the attribute."""
    here = context_of(context, options)
    refuse_unknown("baseline_blame", options)
    with State.open(here.project.state_dir) as state:
        baselines = Baselines(here.project, state)
        blamed = baselines.blame(id)
        file = baselines.store.name(baselines.store.path(id))
    made = {one.decision.hash: one.decision for one in blamed if one.decision is not None}
    unsure = sum(not one.is_certain for one in blamed)
    nobody = sum(one.decision is None for one in blamed if one.kind != "header")
    notes = []
    if unsure:
        notes.append(
            f"{number_text(unsure, 'line')} marked `?` may be older: neither this machine nor git has the "
            "version before"
        )
    if nobody:
        notes.append(
            f"{number_text(nobody, 'line')} came past the log: accept the scenario to say who and why"
        )
    return BaselineBlame(
        id,
        file,
        [_blamed(one) for one in blamed],
        decisions=[{**one.to_json(), "hash": name} for name, one in made.items()],
        notes=notes,
    )


def _blamed(one: Blamed) -> dict[str, Any]:
    by = one.decision
    known = (
        {}
        if by is None
        else {name: getattr(by, name) for name in ("version", "action", "at", "by", "reason")}
    )
    return {
        "line": one.line,
        "kind": one.kind,
        "path": one.path,
        "part": one.part,
        "decision": by.hash if by else None,
        **known,
        "certain": one.is_certain,
        "edits": [edit.edit_id for edit in one.edits],
        "causes": [
            {"cause_id": cause_id, "message": message}
            for cause_id, message in {edit.cause_id: sentence(edit) for edit in one.edits}.items()
        ],
    }
