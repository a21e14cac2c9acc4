"""Causes in words: why a test was run again, was not, or was only judged again.

One sentence a cause, made from its data alone, so that what was stored of a decision and what is found now
are told alike. Values of the environment are seals long before they come here; a seal is never shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from clnrm_nb.cache.entry import Cause, Decision

__all__ = ["headline", "sentence", "sentences"]

_SEAL: Final = "hmac:"
_SHORT: Final = 12
_HIDDEN: Final = "(value not shown)"
_MOST_NAMES: Final = 5


def headline(decision: Decision) -> str:
    """What was decided, and the first reason.

    Examples
    --------
    >>> from clnrm_nb.cache.entry import Cause, Decision
    >>> causes = (Cause("isolation", "", '"warm"', '"fresh"'),)
    >>> headline(Decision("tests/a.clnrm.toml", "miss", causes=causes))
    'tests/a.clnrm.toml: MISS because isolation: "warm" -> "fresh"'
    """
    said = sentences(decision)
    words = {
        "hit": "HIT, not run",
        "rejudge": "JUDGED AGAIN on its stored spans, not run",
        "miss": "MISS",
        "uncacheable": "NOT CACHED",
    }[decision.answer]
    if decision.answer == "hit":
        reason = "nothing it depends on has changed" if not decision.causes else "what changed does not count"
        return f"{decision.test_id}: {words}: {decision.reason or reason}"
    more = f" and {len(said) - 1} more" if len(said) > 1 else ""
    return f"{decision.test_id}: {words} because {said[0]}{more}" if said else f"{decision.test_id}: {words}"


def sentences(decision: Decision) -> list[str]:
    """All reasons, the weightiest first."""
    said = [sentence(cause) for cause in decision.causes]
    if decision.reason and decision.reason not in said:
        return [*said, decision.reason.removeprefix("uncacheable: ")]
    return said


def sentence(cause: Cause) -> str:
    """One cause as people say it, without a full stop."""
    if cause.is_cosmetic:
        return _cosmetic(cause)
    special = _SPECIAL.get(cause.kind)
    if special is not None:
        return special(cause)
    subject = " ".join(word for word in (_NOUNS.get(cause.kind, cause.kind), cause.name) if word)
    return f"{subject}{_change(cause)}{_remarks(cause)}"


# ------------------------------------------------------------------------------------------ changes


def _change(cause: Cause) -> str:
    before, after = cause.before, cause.after
    is_hidden = any(value is not None and _SEAL in value for value in (before, after))
    if before is None or after is None:
        verb = "is new" if before is None else "is gone"
        value = after if before is None else before
        return f" {verb} {_HIDDEN}" if is_hidden else f" {verb}: {value}" if value is not None else f" {verb}"
    return f" changed {_HIDDEN}" if is_hidden else f": {before} -> {after}"


def _remarks(cause: Cause, used: str = "at") -> str:
    remarks = [f"{used} {', '.join(cause.at)}"] if cause.at else []
    if cause.origin:
        remarks.append(
            f"set by {cause.origin}" if not cause.origin.startswith("[") else f"set in {cause.origin}"
        )
    return f" ({', '.join(remarks)})" if remarks else ""


def _variable(cause: Cause) -> str:
    if cause.before is None and cause.after is not None:
        cause_text = f" is read now: {_value(cause.after)}"
    elif cause.after is None:
        cause_text = " is not read any more"
    else:
        cause_text = _change(cause)
    return f"variable {cause.name}{cause_text}{_remarks(cause, 'used at')}"


def _value(text: str) -> str:
    return _HIDDEN if _SEAL in text else text


def _environment(cause: Cause) -> str:
    before, after = (value and value.strip('"') for value in (cause.before, cause.after))
    if after is None:
        change = " is not read any more"
    elif after == "not set":
        change = " is not set any more" if before is not None else " is read now, and not set"
    elif before is None:
        change = f" is read now {_HIDDEN}" if _SEAL in after else f" is read now: {cause.after}"
    elif before == "not set":
        change = f" is set now {_HIDDEN}" if _SEAL in after else f" is set now: {cause.after}"
    else:
        change = _change(cause)
    return f"environment {cause.name}{change}{_remarks(cause, 'read at')}"


def _file(cause: Cause) -> str:
    before, after = (value and value.strip('"') for value in (cause.before, cause.after))
    lines = f" ({cause.lines} line{'s' if cause.lines != 1 else ''})" if cause.lines is not None else ""
    if before in (None, "missing") and after not in (None, "missing"):
        change = " is there now" if before == "missing" else " is read now"
    elif after in (None, "missing"):
        change = " is gone" if after == "missing" else " is not read any more"
    else:
        change = f" changed{lines}"
    return f"include {cause.name}{change}"


def _mount(cause: Cause) -> str:
    before, after = (value and value.strip('"') for value in (cause.before, cause.after))
    if after is None:
        change = " is not mounted any more"
    elif before is None:
        change = " is mounted now"
    elif after == "missing":
        change = ": nothing is there any more"
    elif before == "missing":
        change = ": something is there now"
    else:
        names = list(cause.at[:_MOST_NAMES])
        more = f" and {len(cause.at) - len(names)} more" if len(cause.at) > len(names) else ""
        change = f" changed: {', '.join(names)}{more}" if names else " changed"
    return f"mounts {cause.name}{change}"


def _image(cause: Cause) -> str:
    before, after = (value and value.strip('"') for value in (cause.before, cause.after))
    if before in (None, "unknown") or after in (None, "unknown"):
        if after is None:
            return f"image {cause.name} is not used any more"
        if after == "unknown":
            return f"image {cause.name}: no engine says what it holds"
        return f"image {cause.name} is used now: {_digest(after)}"
    return f"image {cause.name}: digest moved {_digest(before)} -> {_digest(after)}"


def _digest(text: str) -> str:
    bare = text.removeprefix("sha256:")
    return f"{bare[:_SHORT]}…" if len(bare) > _SHORT else bare


def _digests(noun: str) -> Callable[[Cause], str]:
    """Things that are told by their digests, which say no more than that they differ."""

    def told(cause: Cause) -> str:
        subject = f"{noun} {cause.name}".rstrip()
        if cause.before is None or cause.after is None:
            return f"{subject} is {'new' if cause.before is None else 'gone'}"
        before, after = (_digest(value.strip('"')) for value in (cause.before, cause.after))
        return f"{subject} changed: {before} -> {after}"

    return told


def _rule(cause: Cause) -> str:
    name, _, key = cause.name.partition(".")
    subject = f"tolerance rule {name}".rstrip()
    if not key and None in (cause.before, cause.after):
        return f"{subject} is {'new' if cause.before is None else 'gone'}"
    return f"{subject} changed" + (f": {key}" if key else "")


def _project_rule(cause: Cause) -> str:
    return f"{_rule(cause)} (in baselines/rules.toml)"


def _failed(cause: Cause) -> str:
    return "it did not pass the last time" + (f" ({cause.before})" if cause.before else "")


def _cosmetic(cause: Cause) -> str:
    lines = f" ({cause.lines} line{'s' if cause.lines != 1 else ''})" if cause.lines is not None else ""
    if cause.kind == "files":
        return (
            f"{cause.name} changed{lines}: comments and spelling only, the scenario it renders to is the same"
        )
    if cause.kind in ("given", "settings"):
        return f"{_SPECIAL[cause.kind](cause)}, and the scenario is the same"
    if cause.kind == "variables":
        return f"variable {cause.name} changed, and nothing reads it"
    if cause.kind == "environment":
        return f"environment {cause.name} changed, and the scenario is the same"
    subject = " ".join(word for word in (_NOUNS.get(cause.kind, cause.kind), cause.name) if word)
    return f"{subject} changed, and the scenario is the same"


def _fixed(text: str) -> Callable[[Cause], str]:
    """A sentence that needs nothing of its cause but, sometimes, its name."""
    return lambda cause: text.format(name=cause.name or "it")


_NOUNS: Final = {
    "scenario": "scenario",
    "limits": "limit",
    "more": "input",
    "matrix": "matrix",
    "expectations": "expectation",
}

_SPECIAL: Final[dict[str, Callable[[Cause], str]]] = {
    "variables": _variable,
    "environment": _environment,
    "files": _file,
    "mounts": _mount,
    "images": _image,
    "given": _fixed("other variables are given from outside"),
    "settings": _fixed("settings that count changed"),
    "macros": _fixed("the macro library of clnrm_nb changed"),
    "baseline": _digests("baseline"),
    "baselines": _digests("baseline"),
    "rules": _rule,
    "project_rules": _project_rule,
    "no-entry": _fixed("this is its first run, or its last result is not stored any more"),
    "first": _fixed("it has not passed before: this is its first run"),
    "evicted": _fixed("no result of these inputs is stored: evicted, cleared, or its run kept none"),
    "unjudged": _fixed("its stored spans did not pass the last time they were judged"),
    "no-manifest": _fixed("nothing is known of its inputs"),
    "object": _fixed("what was stored of its run is missing or damaged"),
    "failed": _failed,
    "forced": _fixed("--force was given"),
    "no-cache": _fixed("the cache is switched off (--no-cache, or cache.enabled = false)"),
    "audit": _fixed("it was chosen by --audit to be run all the same"),
}
