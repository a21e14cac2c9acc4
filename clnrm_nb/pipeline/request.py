"""What is asked of a run: which files or cells, with which variables, and what is to become of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

__all__ = ["Cell", "ComparisonRequest", "RunRequest", "Sources", "Variables"]


@dataclass(frozen=True, slots=True)
class Cell:
    """A scenario file typed into a notebook cell: always a template, relative paths from `directory`."""

    name: str
    text: str
    directory: Path


@dataclass(frozen=True, slots=True)
class Variables:
    """Template variables given from outside, by precedence (``format.md`` 3.2).

    Parameters
    ----------
    given : mapping
        Command line, API arguments, magic options.
    parameters : mapping
        Notebook parameters.
    environ : mapping
        The environment templates may read.
    determinism : mapping
        Seed and clock of a recorded run, which win over those of the files.
    origins : mapping of str to str
        How variables were given, by name, for people: ``-m``, ``--vars prod.toml``.
    """

    given: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    determinism: Mapping[str, Any] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Sources:
    """What to load: paths (files or directories), or cells."""

    paths: Sequence[Path] = ()
    cells: Sequence[Cell] = ()
    no_template: bool = False


@dataclass(frozen=True, slots=True)
class ComparisonRequest:
    """How a run is compared.

    Parameters
    ----------
    update : bool
        Accept what passed and differs (``--update-baseline``).
    ci : bool
        Write nothing; missing and unused baselines fail.
    """

    update: bool = False
    ci: bool = False


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What is asked for, beyond the settings.

    Parameters
    ----------
    repeat : int
        Times that each test is run.
    until_fail : bool
        Run all tests again and again until one fails the run.
    force : bool
        Run everything, whatever is in the cache; what passes is stored.
    resume : bool
        Take over what the last broken-off run found out.
    digest : bool
        Show the trace digest of each scenario.
    comparison : ComparisonRequest, optional
        Compare with the accepted traces, and how.
    ids : collection of str, optional
        Only these tests, of those that everything above selects: somebody else has chosen already.
    """

    sources: Sources
    variables: Variables = field(default_factory=Variables)
    tags: Sequence[str] = ()
    only: Sequence[str] = ()
    expression: str | None = None
    shard: str | None = None
    repeat: int = 1
    until_fail: bool = False
    force: bool = False
    resume: bool = False
    digest: bool = False
    comparison: ComparisonRequest | None = None
    ids: Collection[str] | None = None

    @property
    def is_repeated(self) -> bool:
        """Whether tests may run more than once."""
        return self.repeat > 1 or self.until_fail
