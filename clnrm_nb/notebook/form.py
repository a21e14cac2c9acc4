"""The state of the scenario panel, without a widget in it: which test, which values, which command."""

from __future__ import annotations

import json
import os
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clnrm_nb.api.panels import kind_of
from clnrm_nb.commands import SETS, flags_of
from clnrm_nb.report.text import value_text
from clnrm_nb.secrets import MASK

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clnrm_nb.api.panels import PanelTest, PanelVariable
    from clnrm_nb.commands.tree import Call

__all__ = ["FieldError", "Form", "words_of"]


class FieldError(ValueError):
    """What was typed is no value of the variable's type."""


@dataclass(slots=True)
class Form:
    """A test and what a person changed of its variables.

    Parameters
    ----------
    test : PanelTest
    words : sequence of str
        Flags of the panel's own command line, which its commands take over.
    """

    test: PanelTest
    words: Sequence[str] = ()
    _given: dict[str, Any] = field(default_factory=dict)

    def put(self, variable: PanelVariable, typed: object) -> None:
        """Take over what was typed; the default again is no change.

        Raises
        ------
        FieldError
            It is not of the variable's type; the last good value stays.
        """
        value = _parsed(variable, typed)
        if value == variable.value and type(value) is type(variable.value):
            self._given.pop(variable.name, None)
        else:
            self._given[variable.name] = value

    @property
    def changed(self) -> Mapping[str, Any]:
        """The values that differ from the defaults."""
        return dict(self._given)

    def command(self, name: str) -> str:
        """The magic that does what a button does; values of secrets are left for the reader to fill in."""
        secrets = {variable.name for variable in self.test.variables if variable.is_secret}
        path = os.path.relpath(self.test.path, Path.cwd())
        words = ["%clnrm", name, shlex.quote(path)]
        for key, value in self._given.items():
            is_text = isinstance(value, str)
            text = MASK if key in secrets else (value if is_text else json.dumps(value))
            words += ["-m", shlex.quote(f"{key}{'=' if is_text else ':='}{text}")]
        combination = [f"{key}={value_text(value)}" for key, value in self.test.matrix.items()]
        if name == "render":
            words += [word for pair in combination for word in ("--matrix", shlex.quote(pair))]
        else:
            words += ["--only", shlex.quote(self.test.test_id)] if combination else []
        return " ".join([*words, *(self.words if name == "run" else ())])


def _parsed(variable: PanelVariable, typed: object) -> Any:
    if variable.kind == "text" or not isinstance(typed, str):
        return typed
    try:
        value = json.loads(typed)
    except json.JSONDecodeError as error:
        raise FieldError(f"{variable.name}: not a value of JSON: {error.msg}") from None
    allowed = {"integer": ("integer",), "number": ("integer", "number"), "boolean": ("boolean",)}
    if variable.kind in allowed and kind_of(value) not in allowed[variable.kind]:
        raise FieldError(f"{variable.name}: {typed!r} is not {variable.kind}")
    return value


def words_of(call: Call) -> list[str]:
    """The flags a command line was given, for another command that takes them too."""
    words: list[str] = []
    notebook = {flag.option for flag in SETS["N"]}
    for flag in flags_of(call.command):
        if flag.option not in call.options or flag.option in notebook or flag.option == "map":
            continue
        value = call.options[flag.option]
        for one in value if flag.multiple else (value,):
            words.append(f"--{flag.name}")
            words += [] if flag.kind in ("switch", "count") else [shlex.quote(str(one))]
    return words
