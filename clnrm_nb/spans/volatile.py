"""What differs from run to run with nothing changed: the one list, each entry with its reason.

``format.md`` 8.1 is its source and a test compares the two. Entries say what is dropped before traces are
compared; a stack trace is not dropped but compared as a template.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final, Literal

__all__ = ["TEMPLATED", "VOLATILE", "Fate", "Volatile", "fate", "keep", "template"]

_EPHEMERAL_FROM: Final = 32_768
"""First port of the range Linux takes outgoing ports from."""


@dataclass(frozen=True, slots=True)
class Volatile:
    """One entry.

    Parameters
    ----------
    where : {"resource", "attribute"}
        Resource attributes, or those of spans, events and links.
    pattern : str
        Glob over the whole key.
    reason : str
        Why it varies.
    from_value : int or None
        Volatile only from this value up.
    """

    where: Literal["resource", "attribute"]
    pattern: str
    reason: str
    from_value: int | None = None


VOLATILE: Final[tuple[Volatile, ...]] = (
    Volatile("resource", "host.*", "the machine a container runs on; in a container its random id"),
    Volatile("resource", "process.*", "process ids, start times, command lines with temporary paths"),
    Volatile("resource", "os.version", "the kernel of the machine"),
    Volatile("resource", "os.description", "the kernel of the machine, in words"),
    Volatile("resource", "container.id", "new with each container"),
    Volatile("resource", "container.name", "carries the run"),
    Volatile("resource", "service.instance.id", "random, new with each process"),
    Volatile("resource", "k8s.pod.*", "new with each pod"),
    Volatile("resource", "k8s.node.*", "where the scheduler happened to put it"),
    Volatile("resource", "telemetry.sdk.version", "changes with an upgrade of the SDK, not of the program"),
    Volatile("resource", "telemetry.distro.version", "as the SDK's"),
    Volatile("resource", "clnrm.*", "set by clnrm_nb itself"),
    Volatile("attribute", "thread.*", "which thread of a pool took the work"),
    Volatile("attribute", "code.lineno", "moves with every edit above it"),
    Volatile("attribute", "code.line.number", "moves with every edit above it"),
    Volatile("attribute", "http.request.header.traceparent", "holds ids"),
    Volatile("attribute", "http.request.header.tracestate", "holds ids"),
    Volatile("attribute", "network.peer.port", "ephemeral port of the other side", _EPHEMERAL_FROM),
    Volatile("attribute", "client.port", "ephemeral port of the client", _EPHEMERAL_FROM),
    Volatile("attribute", "net.peer.port", "ephemeral port of the other side", _EPHEMERAL_FROM),
    Volatile("attribute", "net.sock.*.port", "ephemeral port of either side", _EPHEMERAL_FROM),
)

TEMPLATED: Final[dict[str, str]] = {
    "exception.stacktrace": "addresses and line numbers vary, the frames do not",
}
"""Attributes compared as templates, with the reason."""

_PORT_DIGITS: Final = 5

_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]+")
_LINE: Final = re.compile(r"(\bline |:)\d+")


def template(text: str) -> str:
    """A stack trace with its addresses and line numbers blanked."""
    return _LINE.sub(r"\1_", _ADDRESS.sub("0x_", text))


Fate = Literal["kept", "dropped", "open"]
"""What becomes of the values under a key: of all of them, or ``open``, where each has to be looked at."""

_Rule = tuple[bool, int | None]
_rules: dict[tuple[str, str], _Rule] = {}
_MAX_RULES: Final = 10_000


def keep(where: Literal["resource", "attribute"], attributes: dict[str, Any]) -> dict[str, Any]:
    """Attributes without the volatile ones, stack traces as templates."""
    kept: dict[str, Any] = {}
    for key, value in attributes.items():
        listed, from_value = _rule(where, key)
        if listed and (from_value is None or _number(value) >= from_value):
            continue
        kept[key] = template(value) if key in TEMPLATED and isinstance(value, str) else value
    return kept


def fate(where: Literal["resource", "attribute"], key: str) -> Fate:
    """What :func:`keep` does with a key, as far as that can be said without its value."""
    listed, from_value = _rule(where, key)
    if listed and from_value is None:
        return "dropped"
    return "open" if listed or key in TEMPLATED else "kept"


def _rule(where: Literal["resource", "attribute"], key: str) -> _Rule:
    rule = _rules.get((where, key))
    if rule is None:
        if len(_rules) >= _MAX_RULES:
            _rules.clear()
        entry = next((v for v in VOLATILE if v.where == where and fnmatchcase(key, v.pattern)), None)
        rule = _rules[where, key] = (entry is not None, entry.from_value if entry else None)
    return rule


def _number(value: Any) -> float:
    """The number a value stands for; ports are written as text too. Less than any bound if it is none."""
    if isinstance(value, int | float):
        return value
    return (
        int(value)
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _PORT_DIGITS
        else -1
    )
