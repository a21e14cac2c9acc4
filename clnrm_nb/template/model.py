"""What goes into a rendering and what comes out of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clnrm_nb.errors import Diagnostic
    from clnrm_nb.template.sourcemap import SourceMap

__all__ = ["Dependencies", "Rendered", "TemplateRequest", "Variable"]


@dataclass(frozen=True, slots=True)
class TemplateRequest:
    """One file to render.

    Parameters
    ----------
    path : Path
        The file; for a notebook cell ``<notebook directory>/cell:NAME``.
    file : str
        How findings name it: POSIX path from the project root.
    project_root : Path
        Nothing outside is read.
    text : str, optional
        Its text, where it is at hand or unsaved; otherwise it is read.
    variables : Mapping
        From the command line or the call: highest precedence.
    parameters : Mapping
        Of a notebook: next highest, and the namespace ``params``.
    environ : Mapping
        Environment variables the template may read.
    matrix : Mapping
        One combination of the file's matrix.
    library_files : sequence of Path
        Extra template files of the configuration, found by their name.
    no_template : bool
        Markers of files that do not end in ``.tera`` are text.
    determinism : Mapping
        Keys of ``[determinism]`` that win over the file's, so that a recorded run can be repeated.
    context : Mapping, optional
        The whole context of the template, in place of variables, namespaces and what the file's own tables
        say. For text that is no scenario file, such as a conformance suite's.
    """

    path: Path
    file: str
    project_root: Path
    text: str | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    matrix: Mapping[str, Any] = field(default_factory=dict)
    library_files: Sequence[Path] = ()
    no_template: bool = False
    determinism: Mapping[str, Any] = field(default_factory=dict)
    context: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable as the template saw it.

    Parameters
    ----------
    name : str
        Its name.
    value : object
        Its value.
    origin : str
        ``argument``, ``parameter``, ``[vars]``, ``[template.vars]``, ``environment NAME`` or ``default``.
    """

    name: str
    value: Any
    origin: str


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What a rendering has read; unchanged dependencies mean an unchanged text.

    Parameters
    ----------
    files : dict
        SHA-256 of every template file by its path from the project root, the rendered one included.
    missing_files : tuple of str
        Files that were looked for and are not there.
    environment : dict
        Environment variables read, None where they are not set.
    variables : set of str
        Variables read; members of namespaces as ``matrix.db``.
    nondeterministic : bool
        Whether the clock or a random seed went into the text.
    """

    files: dict[str, str] = field(default_factory=dict)
    missing_files: tuple[str, ...] = ()
    environment: dict[str, str | None] = field(default_factory=dict, repr=False)
    variables: frozenset[str] = frozenset()
    nondeterministic: bool = False


@dataclass(frozen=True, slots=True)
class Rendered:
    """A rendered file.

    Parameters
    ----------
    file, path
        As in the request.
    source : str
        The text the person edits, without byte order mark.
    text : str or None
        The rendered text; None if it could not be rendered (see `diagnostics`).
    templated : bool
        Whether markers were looked for.
    library : bool
        A template library, by its name: only its syntax counts.
    source_map : SourceMap
        From rendered positions to those of the source; computed when first asked.
    variables : list of Variable
        In the order of definition, lowest precedence first.
    dependencies : Dependencies
        What was read.
    diagnostics : list of Diagnostic
        Findings, sorted by place.
    matrix : dict
        The combination it was rendered for.
    """

    file: str
    path: Path
    source: str
    text: str | None = field(repr=False)
    templated: bool
    library: bool
    source_map: SourceMap
    variables: list[Variable] = field(repr=False)
    dependencies: Dependencies
    diagnostics: list[Diagnostic]
    matrix: dict[str, Any]
    again: Callable[[str], Rendered] | None = field(default=None, repr=False, compare=False)
    """Renders another text in place of the source, everything else being equal."""
