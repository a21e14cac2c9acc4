"""``Plan``: what a run of one test would do, as ``dry-run`` shows it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from clnrm_nb.report.lines import Line, line
from clnrm_nb.report.signs import UNICODE, Signs
from clnrm_nb.report.text import json_ready, number_text, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from clnrm_nb.report.text import Mask

__all__ = ["Plan"]

_LONGEST_COMMAND = 160


class Plan:
    """A plan of :func:`clnrm_nb.pipeline.dryrun.look_ahead`.

    Parameters
    ----------
    document : mapping
        One of ``data.plans``.
    mask : callable, optional
    """

    def __init__(self, document: Mapping[str, Any], mask: Mask | None = None) -> None:
        self.document: dict[str, Any] = json_ready(document, mask)

    def lines(self, *, signs: Signs = UNICODE, width: int = 100, verbose: bool = False) -> list[Line]:
        """Services in starting order, commands in running order, and what a person must allow."""
        del width
        lines = [line((one_line(self.document["id"]), "name")), line(("  ", ""), (self._facts(), "dim"))]
        for title, rows in self._sections(verbose=verbose):
            lines.append(line((f"  {title}", "bold")))
            for name, facts in rows:
                lines.append(line(f"    {one_line(name)}"))
                lines += [line((f"      {signs.dot} ", "dim"), one_line(fact)) for fact in facts]
        return lines

    def html(self) -> str:
        """The same as nested lists to unfold."""
        from clnrm_nb.report.html import details, escape

        parts = [f"<p class=q>{escape(self._facts())}</p>"]
        for title, rows in self._sections(verbose=True):
            items = "".join(
                f"<dt dir=auto>{escape(name)}</dt><dd dir=auto>{'<br>'.join(map(escape, facts))}</dd>"
                for name, facts in rows
            )
            parts.append(f"<h4>{escape(title)}</h4><dl>{items}</dl>")
        title = f"plan of <bdi>{escape(self.document['id'])}</bdi>"
        return details(title, "".join(parts), is_open=True)

    def _facts(self) -> str:
        plan = self.document
        words = [
            f"backend {plan['backend']}{'' if plan['hermetic'] else ' (not hermetic)'}",
            f"isolation {plan['isolation']}",
            number_text(plan["containers"], "container"),
            f"{number_text(plan['memory_mb'])} MB",
            f"at most {plan['timeout_s']:g} s",
        ]
        words += [f"priority {plan['priority']}"] if plan["priority"] else []
        words += [f"groups {', '.join(plan['groups'])}"] if plan["groups"] else []
        return ", ".join(words)

    def _sections(self, *, verbose: bool) -> Iterator[tuple[str, list[tuple[str, list[str]]]]]:
        plan = self.document
        if plan["services"]:
            numbered = enumerate(plan["services"], 1)
            rows = [(f"{number}. {each['name']}", list(_of_service(each))) for number, each in numbered]
            yield "services, in the order they start", rows
        for scenario in plan["scenarios"]:
            beside = ", all at once" if scenario["concurrent"] else ""
            beside += ", beside its neighbours" if scenario["overlaps"] else ""
            commands = [(each["name"], list(_of_command(each))) for each in scenario["commands"]]
            yield f"scenario {scenario['name']}{beside}", commands
        environment = [("secrets", plan["secrets"]), ("set by clnrm_nb", plan["injected"] if verbose else [])]
        rows = [(name, [", ".join(names)]) for name, names in environment if names]
        if rows:
            yield "also in every environment", rows
        if plan["permissions"]:
            yield "needs permission", [_of_permission(each) for each in plan["permissions"]]


def _of_service(service: Mapping[str, Any]) -> Iterator[str]:
    yield f"image {service['image']}" if service["image"] else f"external, at {service['endpoint']}"
    if service["argv"]:
        yield f"command {_shown(service['argv'])}"
    if service["after"]:
        yield f"after {', '.join(service['after'])}"
    ready = " and ".join(service["ready"]) or "it is started"
    yield f"ready when {ready}, within {service['timeout_s']:g} s"
    if service["env"]:
        yield f"environment {', '.join(service['env'])}"
    yield from (f"port {port}" for port in service["ports"])
    yield from (f"mount {volume}" for volume in service["volumes"])
    if service["memory_mb"]:
        yield f"limits {number_text(service['memory_mb'])} MB, {service['cpu_millicores'] / 1000:g} CPU"


def _of_command(command: Mapping[str, Any]) -> Iterator[str]:
    where = f"in {command['service']}" if command["service"] else f"in the runner ({command['image']})"
    yield f"{where}: {_shown(command['argv'])}"
    expects = ", ".join(command["expects"])
    attempts = f", at most {command['attempts']} attempts" if command["attempts"] > 1 else ""
    yield f"expects {expects}, within {command['timeout_s']:g} s{attempts}"
    if command["env"]:
        yield f"environment {', '.join(command['env'])}"


def _of_permission(each: Mapping[str, Any]) -> tuple[str, list[str]]:
    state = "given" if each["granted"] else f"not given: --allow {each['word']}"
    return f"{each['what']} of {each['service']}", [state]


def _shown(argv: list[str]) -> str:
    text = shlex.join(argv)
    return text if len(text) <= _LONGEST_COMMAND else f"{text[: _LONGEST_COMMAND - 1]}…"
