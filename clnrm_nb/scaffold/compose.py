"""A compose file as a first scenario (the Compose specification, https://compose-spec.io).

Services keep image, command, environment, ports, mounts, order and health checks. What has no counterpart is
named in a comment beside the service it was written at, and nothing is guessed: what only a person knows is a
``TODO`` that fails when it runs. Values that are secrets are not copied; their variables go to ``[secrets]``,
which reads them when the test starts and hides them in every output.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.errors import UsageError
from clnrm_nb.scaffold.interpolation import interpolated, references
from clnrm_nb.scaffold.mounts import mounts_of, ports_of
from clnrm_nb.scaffold.paper import IMAGE, Expression, Paper, literal, placeholder
from clnrm_nb.scaffold.yamltext import is_true, read_yaml
from clnrm_nb.secrets import SHORTEST, names_a_secret

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["from_compose", "looks_like_compose"]

_SERVICE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_HEADER: Final = re.compile(rb"(?m)^\s*[\"']?services[\"']?\s*:")
_CREDENTIALS: Final = re.compile(r"://[^/\s:@]*:[^/\s@]+@")
_PASSWORD: Final = re.compile(r"(://[^/\s:@]*:)(?!\$)[^/\s@]+@")
_SWITCH: Final = re.compile(r"(?i)true|false|yes|no|on|off|[01]?")
_MEMORY: Final = re.compile(r"(?i)\s*(\d+(?:\.\d+)?)\s*([bkmg]?)b?\s*")
_BYTES: Final = {"": 1, "b": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
_DURATION: Final = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+")
_LARGEST_BYTES: Final = 1_000_000
_LONG: Final = 80

_TAKEN: Final = frozenset(
    (
        *("image", "build", "command", "entrypoint", "environment", "ports", "volumes", "working_dir"),
        *("depends_on", "healthcheck", "privileged", "devices", "cap_add", "mem_limit", "cpus", "deploy"),
        *("network_mode", "profiles", "extends", "env_file"),
    )
)
"""Keys of a service that are carried over or commented on."""


def looks_like_compose(data: bytes) -> bool:
    """Whether a file has a ``services`` key as compose files have: a first look, before it is read."""
    return len(data) <= _LARGEST_BYTES and _HEADER.search(data) is not None


@dataclass(slots=True)
class _Service:
    """One service on its way: what is written, and what is said about the rest."""

    name: str
    keys: dict[str, Any] = field(default_factory=dict)
    secrets: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    todos: list[str] = field(default_factory=list)


def from_compose(data: bytes, *, name: str, directory: str = ".") -> str | None:
    """A scenario file for a compose file.

    Parameters
    ----------
    data : bytes
        The compose file.
    name : str
        How it is called in the comments, and the test's name where the file gives none.
    directory : str
        Its directory, from the directory of the scenario file: host paths start there.

    Returns
    -------
    str or None
        The scenario file; ``None`` if `data` is no compose file.

    Raises
    ------
    UsageError
        It is YAML with services of a shape that compose does not know.
    """
    document = read_yaml(data)
    if not isinstance(document, dict) or not isinstance(document.get("services"), dict):
        return None
    wanted: dict[str, dict[str, Any]] = {}
    asides: list[str] = [
        f"{key}: the files it names are not read; scaffold them by themselves"
        for key in ("include",)
        if key in document
    ]
    for service, table in document["services"].items():
        if not isinstance(table, dict):
            raise UsageError(f"{name}: service {service!r} is not a mapping")
        aside = _left_out(service, table)
        if aside:
            asides.append(aside)
        else:
            wanted[service] = _extended(service, table, document["services"])
    secret = _secret_values(wanted)
    for service, table in wanted.items():
        _conceal(service, table, secret)
    once = _run_once(wanted)
    services = [
        _service(service, table, directory=directory, known=wanted.keys() - once)
        for service, table in wanted.items()
        if service not in once
    ]
    title = str(document.get("name") or name.rsplit("/", 1)[-1].partition(".")[0])
    return _written(title, name, services, {each: wanted[each] for each in sorted(once)}, asides)


def _left_out(service: str, table: Mapping[str, Any]) -> str:
    """Why a service is not taken over; empty if it is."""
    if table.get("profiles"):
        names = ", ".join(map(str, table["profiles"]))
        return f"service {service} belongs to profile {names} and is not started by default"
    if not _SERVICE_NAME.fullmatch(service):
        return f"service {service!r}: not a name a service can have here"
    return ""


def _extended(service: str, table: dict[str, Any], services: Mapping[str, Any]) -> dict[str, Any]:
    """A service with what it extends in the same file, nearest first."""
    merged, seen = dict(table), {service}
    base = table.get("extends")
    while isinstance(base, dict | str):
        of = base if isinstance(base, str) else str(base.get("service"))
        elsewhere = isinstance(base, dict) and base.get("file")
        if elsewhere or of in seen or not isinstance(services.get(of), dict):
            return merged
        seen.add(of)
        parent = services[of]
        for key, value in parent.items():
            if isinstance(value, dict) and isinstance(merged.get(key), dict):
                merged[key] = value | merged[key]
            else:
                merged.setdefault(key, value)
        base = parent.get("extends")
        merged.pop("extends", None)
    return merged


def _secret_values(services: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Values that must stand nowhere, with the variable each belongs to, longest first."""
    values = {
        value: name
        for table in services.values()
        for name, value in _variables(table.get("environment"))
        if value and _is_secret(name, value) and len(value) >= SHORTEST and not references(value)
    }
    return dict(sorted(values.items(), key=lambda each: -len(each[0])))


def _conceal(service: str, table: dict[str, Any], values: Mapping[str, str]) -> None:
    """Take secrets out of commands: variables in their place."""

    def concealed(text: Any) -> Any:
        if not isinstance(text, str):
            return text
        for value, name in values.items():
            text = text.replace(value, f"${{{name}}}")
        own = f"{re.sub(r'[^A-Z0-9]', '_', service.upper())}_PASSWORD"
        return _PASSWORD.sub(lambda match: f"{match[1]}${{{own}}}@", text)

    for key in ("command", "entrypoint"):
        if key in table:
            written = table[key]
            table[key] = [*map(concealed, written)] if isinstance(written, list) else concealed(written)
    check = table.get("healthcheck")
    if isinstance(check, dict) and "test" in check:
        written = check["test"]
        test = [*map(concealed, written)] if isinstance(written, list) else concealed(written)
        table["healthcheck"] = {**check, "test": test}


def _run_once(services: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """Services that others wait for to *end*: jobs, not services."""
    return {
        name
        for table in services.values()
        for name, how in _dependencies(table).items()
        if how == "service_completed_successfully" and name in services
    }


def _dependencies(table: Mapping[str, Any]) -> dict[str, str]:
    """Names with the condition each is waited for."""
    written = table.get("depends_on") or {}
    if isinstance(written, list):
        return dict.fromkeys(map(str, written), "service_started")
    return {
        str(name): str(how.get("condition", "service_started") if isinstance(how, dict) else how)
        for name, how in (written.items() if isinstance(written, dict) else ())
    }


# ---------------------------------------------------------------------------------------------- one service


def _service(name: str, table: Mapping[str, Any], *, directory: str, known: set[str]) -> _Service:
    made = _Service(name)
    keys = made.keys
    keys["image"] = _image(table, made)
    keys["entrypoint"] = _argv(table.get("entrypoint"))
    keys["args"] = _argv(table.get("command"))
    keys["workdir"] = _text(table.get("working_dir"))
    keys["env"] = _environment(table, made)
    keys["ports"] = ports_of(table.get("ports"), made.notes)
    keys["volumes"] = mounts_of(table.get("volumes"), directory, made.notes)
    keys["depends_on"] = _order(table, known, made)
    keys["health_check"] = _health(table.get("healthcheck"), made)
    keys["limits"] = _limits(table, made)
    _privileges(table, made)
    if table.get("env_file"):
        made.todos.append(
            "env_file is not read, it may hold secrets: name what is needed under env or [secrets]"
        )
    if table.get("extends"):
        made.todos.append("extends: the other file is not read; copy what is needed from it")
    rest = sorted(key for key in table if key not in _TAKEN and not key.startswith("x-"))
    if rest:
        made.notes.append(f"without counterpart: {', '.join(rest)}")
    return made


def _image(table: Mapping[str, Any], made: _Service) -> Any:
    build = table.get("build")
    if build:
        context = build.get("context", ".") if isinstance(build, dict) else build
        made.todos.append(f"compose builds the image from {context}: build it first and name it")
    elif not table.get("image"):
        made.todos.append("name the image")
    return _text(table["image"]) if table.get("image") else IMAGE


def _text(value: Any) -> str | Expression | None:
    return None if value is None else interpolated(str(value))


def _argv(value: Any) -> list[str | Expression] | None:
    """A command: a string is split as a shell would, but none is put around it, as compose does."""
    if value is None:
        return None
    if isinstance(value, list):
        return [interpolated(str(word)) for word in value]
    try:
        return [interpolated(word) for word in shlex.split(str(value))]
    except ValueError:
        return [interpolated(str(value))]


def _environment(table: Mapping[str, Any], made: _Service) -> dict[str, str | Expression] | None:
    env: dict[str, str | Expression] = {}
    for name, value in _variables(table.get("environment")):
        if value is None and not names_a_secret(name):
            # Compose hands such a variable on from where it runs.
            env[name] = Expression(f'env(name="{name}", default="")')
        elif value is None or _is_secret(name, value):
            made.secrets.append(name)
            if taken_from := [each for each in references(value or "") if each != name]:
                made.notes.append(f"{name}: compose makes it of {', '.join(taken_from)}")
        else:
            env[name] = interpolated(value)
    return env or None


def _variables(written: Any) -> Iterator[tuple[str, str | None]]:
    if isinstance(written, list):
        for entry in written:
            name, equals, value = str(entry).partition("=")
            yield name, value if equals else None
    elif isinstance(written, dict):
        for name, value in written.items():
            if not isinstance(value, dict | list):
                yield str(name), None if value is None else str(value)


def _is_secret(name: str, value: str) -> bool:
    """Whether a value must not stand in a file: by the variable's name, or credentials in a URL."""
    return (names_a_secret(name) and not _SWITCH.fullmatch(value)) or bool(_CREDENTIALS.search(value))


def _order(table: Mapping[str, Any], known: set[str], made: _Service) -> list[str] | None:
    names = []
    for name, how in _dependencies(table).items():
        if name in known:
            names.append(name)
        else:
            made.notes.append(f"depends_on {name} ({how}) is no service here")
    return names or None


def _health(check: Any, made: _Service) -> dict[str, Any] | None:
    if not isinstance(check, dict) or is_true(check.get("disable")):
        return None
    test = check.get("test")
    command: Any = None
    if isinstance(test, list) and test:
        kind, *words = map(str, test)
        if kind == "NONE":
            return None
        command = interpolated(" ".join(words)) if kind == "CMD-SHELL" else [interpolated(w) for w in words]
    elif isinstance(test, str):
        command = interpolated(test)
    if command and not isinstance(command, list):
        # Here a string without anything for a shell runs without one; compose always takes one.
        command = ["/bin/sh", "-c", command]
    made_of: dict[str, Any] = {"cmd": command} if command else {}
    for key in ("interval", "timeout", "start_period"):
        if check.get(key) is not None and _DURATION.fullmatch(str(check[key])):
            made_of[key] = str(check[key])
    if str(check.get("retries", "")).isdecimal():
        made_of["retries"] = int(check["retries"])
    if "start_interval" in check:
        made.notes.append("healthcheck.start_interval: the first checks are always close together")
    return made_of or None


def _limits(table: Mapping[str, Any], made: _Service) -> dict[str, int] | None:
    deploy = table.get("deploy")
    resources = deploy.get("resources") if isinstance(deploy, dict) else None
    limits = resources.get("limits") if isinstance(resources, dict) else None
    limits = limits if isinstance(limits, dict) else {}
    if isinstance(deploy, dict) and (rest := sorted(deploy.keys() - {"resources"})):
        made.notes.append(f"without counterpart: deploy.{', deploy.'.join(rest)}")
    found: dict[str, int] = {}
    memory = _MEMORY.fullmatch(str(table.get("mem_limit") or limits.get("memory") or ""))
    if memory and (size := int(float(memory[1]) * _BYTES[memory[2].lower()]) // 1024**2):
        found["memory_mb"] = size
    cpus = re.fullmatch(r"\d+(\.\d+)?", str(table.get("cpus") or limits.get("cpus") or ""))
    if cpus and (millicores := round(float(cpus[0]) * 1000)):
        found["cpu_millicores"] = millicores
    return found or None


def _privileges(table: Mapping[str, Any], made: _Service) -> None:
    """What a run must be given permission for, and says so."""
    if is_true(table.get("privileged")):
        made.keys["privileged"] = True
    for key, ours in (("devices", "devices"), ("cap_add", "capabilities")):
        if isinstance(table.get(key), list):
            made.keys[ours] = [str(entry) for entry in table[key] if not isinstance(entry, dict | list)]
    mode = table.get("network_mode")
    if mode == "host":
        made.keys["network"] = {"mode": "host"}
    elif mode:
        made.notes.append(f"without counterpart: network_mode {mode}")
    if made.keys.keys() & {"privileged", "devices", "network"}:
        made.notes.append("a run needs permission for this: clnrm dry-run names it")


# ----------------------------------------------------------------------------------------------- the file


def _written(
    title: str,
    name: str,
    services: list[_Service],
    jobs: Mapping[str, Mapping[str, Any]],
    asides: list[str],
) -> str:
    paper = Paper()
    paper.comment(f"Made from {name} by `clnrm scaffold`. TODO marks what a person must decide.")
    paper.comment("As it stands it is valid, and fails when it runs.")
    for aside in asides:
        paper.comment(f"TODO {aside}" if aside.startswith("include") else aside)
    paper.table("meta")
    paper.key("name", title)
    paper.key("version", "0.1.0")
    paper.key("description", "TODO: what this test shows")
    paper.table("otel")
    paper.key("exporter", "otlp")
    paper.key("sample_ratio", 1.0)
    _write_secrets(paper, services)
    for service in services:
        _write_service(paper, service)
    for job, table in jobs.items():
        _write_job(paper, job, table)
    _write_scenario(paper, services)
    return paper.text()


def _write_secrets(paper: Paper, services: list[_Service]) -> None:
    names = sorted({name for service in services for name in service.secrets})
    if names:
        paper.table("secrets")
        paper.comment("Set these where the tests run: they are read when the test starts and never shown.")
        paper.key("env", names)
        paper.key("services", [service.name for service in services if service.secrets])


def _write_service(paper: Paper, service: _Service) -> None:
    paper.table("services", service.name)
    for todo in service.todos:
        paper.comment(f"TODO {todo}")
    for note in service.notes:
        paper.comment(note)
    long = [key for key in ("env", "health_check") if len(literal(service.keys.get(key) or "")) > _LONG]
    for key, value in service.keys.items():
        if key not in long:
            paper.key(key, value)
    for key in long:
        paper.table("services", service.name, key)
        for inner, value in service.keys[key].items():
            paper.key(inner, value)


def _write_job(paper: Paper, name: str, table: Mapping[str, Any]) -> None:
    """A service that others wait for to end is a step; where it runs is for a person to say."""
    paper.table("steps", is_array=True)
    paper.comment(f"TODO in compose {name} is a service of its own that runs once, in {table.get('image')}")
    if command := _argv(table.get("command")):
        paper.comment(f"its command: {shlex.join(map(str, command))}")
    paper.key("name", name)
    paper.key("command", placeholder(f"write the command of {name}"))


def _write_scenario(paper: Paper, services: list[_Service]) -> None:
    waited_for = {name for service in services for name in service.keys.get("depends_on") or ()}
    fronts = [service.name for service in services if service.name not in waited_for]
    paper.table("scenario", is_array=True)
    paper.key("name", "first")
    paper.key("description", "TODO: what somebody does with the system")
    paper.key("service", fronts[-1] if fronts else None, "TODO where the command runs")
    paper.key("run", placeholder("write the command of this scenario"))
    paper.table("expect", "hermeticity")
    paper.key("no_external_services", value=True)
    paper.comment()
    paper.comment("Once it runs, `clnrm scaffold` on its trace proposes what to expect of the spans.")
    paper.comment("[expect.counts]")
    paper.comment(f"by_service = {literal({service.name: {'gte': 1} for service in services})}")
