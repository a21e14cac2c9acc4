"""Where an accepted rule is written, and how its file reads with it and without it again.

Nothing is written here. Both files people keep rules in are theirs: a rule is appended as one block, every
other byte stays, and taking it out again takes out those very bytes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, Literal

from clnrm_nb.baseline import rulefile
from clnrm_nb.baseline.files import scenario_of
from clnrm_nb.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from clnrm_nb.baseline.store import BaselineStore
    from clnrm_nb.config.project import Project
    from clnrm_nb.diff.rules import Rule

__all__ = ["RulePlace", "file_of", "has_rule", "recorded", "with_rule", "without_rule"]

RulePlace = Literal["project", "scenario"]
"""``baselines/rules.toml``, or the scenario file."""

_ELSEWHERE: Final = "keep it in `baselines/rules.toml`"
_TEMPLATE: Final = ".tera"
_OPENERS: Final = re.compile(r"\{[{%#]")
_ARRAY: Final = re.compile(rb"(?m)^[ \t]*tolerance[ \t]*=")


def file_of(project: Project, store: BaselineStore, baseline_id: str, place: RulePlace) -> Path:
    """The file a rule about a baseline is written to.

    Raises
    ------
    UsageError
        It belongs to no scenario file, as with a notebook's cell.
    """
    if place == "project":
        return store.rules_path
    name = scenario_of(baseline_id)[0].partition("[")[0]
    path = project.root / name
    if not path.is_file():
        raise UsageError(f"`{name}` is no file a rule could be written to", hint=_ELSEWHERE)
    return path.resolve()


def recorded(rule: Rule, name: str) -> dict[str, Any]:
    """A rule as the decision about it keeps it, with the file it was written to."""
    return {**rule.to_toml(), "file": name}


def has_rule(content: bytes | None, rule: Rule, place: RulePlace, name: str) -> bool:
    """Whether a file holds the rule already."""
    if content is None:
        return False
    if place == "project":
        return any(known.id == rule.id for known in rulefile.rules_of(content, name))
    return f'id = "{rule.id}"'.encode() in content


def with_rule(content: bytes | None, rule: Rule, place: RulePlace, name: str) -> bytes:
    """A file with one more rule at its end.

    Raises
    ------
    ClnrmError
        CLN325: `rules.toml` is broken or has a rule of that id.
    UsageError
        The scenario file keeps its rules in an array, or would read the rule as a template.
    """
    if place == "project":
        return rulefile.appended(content, rule, name)
    before = content or b""
    if _ARRAY.search(before):
        raise UsageError(
            f"`{name}` keeps its rules in an array",
            hint=f"add it by hand, or {_ELSEWHERE}",
        )
    block = rulefile.block_of(rule)
    if _OPENERS.search(block):
        if not name.endswith(_TEMPLATE):
            raise UsageError(
                f"rule `{rule.id}` would make a template of `{name}`",
                hint=_ELSEWHERE,
            )
        block = f"{{% raw %}}\n{block}{{% endraw %}}\n"
    line_break = "\r\n" if b"\r\n" in before else "\n"
    end = "" if before.endswith(b"\n") or not before else line_break
    gap = line_break if before.strip() else ""
    return before + (end + gap + block.replace("\n", line_break)).encode()


def without_rule(
    now: bytes | None, before: bytes | None, after: bytes | None, rule_id: str, name: str
) -> bytes | None:
    """A file as it was before a rule was written; what was changed since stays.

    Parameters
    ----------
    now : bytes or None
        The file.
    before, after : bytes or None
        As it was before and after the decision.

    Raises
    ------
    UsageError
        The rule stands there otherwise than it was written, or not at all.
    """
    if now == after:
        return before
    written = (after or b"").removeprefix(before or b"")
    if now is not None and written and now.count(written) == 1:
        return now.replace(written, b"")
    raise UsageError(
        f"rule `{rule_id}` is not in `{name}` as it was written; undo would lose what was changed since",
        hint="take it out by hand",
    )
