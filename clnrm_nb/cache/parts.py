"""What a test depends on, named part by part (``format.md`` 9).

What counts: the scenario as it was understood, and whatever else a program under test or the rendering could
read. What does not: comments, order, spelling (they are gone once a file is parsed), descriptions, what is
expected (that is the verdict's), report files, and who wrote it. Values of the environment are sealed
wherever the rendering has put them, so that the parts can be kept and shown.
"""

from __future__ import annotations

import hashlib
import platform
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.cache.key import Key
from clnrm_nb.cache.localkey import IN_CLEAR
from clnrm_nb.cache.sealing import Sealing
from clnrm_nb.scenario.model import Model
from clnrm_nb.secrets import names_a_secret

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from clnrm_nb.scenario.model import TestFile
    from clnrm_nb.template import Rendered, Variable

__all__ = ["Surroundings", "parts_of", "plain", "why_uncacheable"]

_COSMETIC: Final = frozenset({"source", "written", "description", "author"})
_NOT_THE_RUN: Final = frozenset({"file", "expect", "report", "tolerance", "matrix"})
"""Top-level fields with a part of their own, or that only say what is made of the run."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What decides about a test beside its file.

    Parameters
    ----------
    backend, isolation : str
    limits : mapping
        Every limit as resolved: of containers by service, of time.
    mounts : mapping of str to (str or None)
        Digest of what each volume mounts; ``None``: nothing is there.
    environ : mapping
        Where ``[secrets]`` come from.
    passed_on : sequence of str
        Names of variables of the runner's environment that programs see.
    more : mapping
        Further inputs, such as the digest of a recording that is replayed.
    """

    backend: str
    isolation: str
    limits: Mapping[str, Any] = field(default_factory=dict)
    mounts: Mapping[str, str | None] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    passed_on: tuple[str, ...] = ()
    more: Mapping[str, Any] = field(default_factory=dict)


def why_uncacheable(rendered: Rendered) -> str | None:
    """Why no two runs of this file have the same inputs; ``None`` if they may."""
    if rendered.dependencies.nondeterministic:
        return (
            "uncacheable: the clock or a random number went into the file; "
            "`[determinism]` with `seed` and `freeze_clock` holds them still"
        )
    return None


def parts_of(test: TestFile, rendered: Rendered, around: Surroundings, *, seal: Callable[[str], str]) -> Key:
    """The key of a test, images aside.

    Parameters
    ----------
    test : TestFile
        The parsed file, with every default in its place.
    rendered : Rendered
        How its text came about.
    seal : callable
        Hides a value, equal ones alike (:meth:`~clnrm_nb.cache.LocalKey.seal`).
    """
    read = rendered.dependencies
    secrets = {name: around.environ.get(name) for name in test.secrets.env}
    environment = {
        **{name: around.environ.get(name) for name in around.passed_on},
        **secrets,
        **read.environment,
    }
    values = [*_not_in_clear({**secrets, **read.environment}), *_given_secrets(rendered)]
    hidden = Sealing(values, seal, _field_names())
    files = {name: digest for name, digest in read.files.items() if name != rendered.file}
    return Key(
        {
            "scenario": hidden.of(plain(test, without=_NOT_THE_RUN)),
            "matrix": hidden.of(plain(test.matrix)),
            "variables": hidden.of(_variables(rendered, seal)),
            "environment": {name: _value(name, value, seal) for name, value in environment.items()},
            "files": {**dict.fromkeys(read.missing_files), **files},
            "mounts": dict(around.mounts),
            "macros": _library(),
            "limits": plain(dict(around.limits)),
            "platform": f"{platform.system()} {platform.machine()}",
            "backend": around.backend,
            "isolation": around.isolation,
            "more": plain(dict(around.more)),
        },
        expectations=hidden.of(_expectations(test)),
    )


@cache
def _field_names() -> frozenset[str]:
    """Keys that a model has and no file gives."""
    todo, found = [Model], {"test", "scenarios"}
    while todo:
        kinds = todo.pop().__subclasses__()
        todo += kinds
        found |= {name for kind in kinds for name in kind.model_fields}
    return frozenset(found)


def _not_in_clear(environment: Mapping[str, str | None]) -> list[str]:
    return [value for name, value in environment.items() if value and name not in IN_CLEAR]


def _given_secrets(rendered: Rendered) -> list[str]:
    """Variables given from outside whose names promise a secret."""
    given = (one for one in rendered.variables if one.origin in ("argument", "parameter"))
    return [one.value for one in given if isinstance(one.value, str) and names_a_secret(one.name)]


def _expectations(test: TestFile) -> dict[str, Any]:
    of_scenarios = {one.name: plain(one.expect) for one in test.scenarios if one.expect is not None}
    judged = {"test": plain(test.expect), "scenarios": of_scenarios}
    rules = {rule["id"]: plain(rule) for rule in test.tolerance}
    return {**judged, "rules": rules} if rules else judged


def _variables(rendered: Rendered, seal: Callable[[str], str]) -> dict[str, Any]:
    """Those that were read; members of `matrix` are a part of their own."""
    read = rendered.dependencies.variables
    return {one.name: _shown(one, seal) for one in rendered.variables if one.name in read}


def _shown(variable: Variable, seal: Callable[[str], str]) -> Any:
    name = variable.origin.removeprefix("environment ")
    if name == variable.origin or name in IN_CLEAR:
        return plain(variable.value)
    return seal(str(variable.value))


def _value(name: str, value: str | None, seal: Callable[[str], str]) -> str | None:
    return value if value is None or name in IN_CLEAR else seal(value)


@cache
def _library() -> str:
    """Digest of the macros this package ships."""
    text = resources.files("clnrm_nb.template").joinpath("library", "_macros.toml.tera").read_bytes()
    return hashlib.sha256(text).hexdigest()


def plain(value: Any, *, without: frozenset[str] = frozenset()) -> Any:
    """A model, or what one holds, as JSON has it: the meaning without places, descriptions and authors."""
    if isinstance(value, Model):
        names = type(value).model_fields.keys() - _COSMETIC - without
        # A scenario's own expectations are no more part of the run than those of its file.
        nested = without & {"expect"}
        return {name: plain(getattr(value, name), without=nested) for name in names}
    if isinstance(value, dict):
        return {str(key): plain(each, without=without & {"expect"}) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each, without=without & {"expect"}) for each in value]
    return value
