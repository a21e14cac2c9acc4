"""Scenario files: rendered text → TOML document → the typed test file, every key with its place.

:func:`parse` reads the TOML, :func:`build` normalises every spelling of ``format.md`` 1 and 7 onto
:class:`~clnrm_nb.scenario.model.TestFile`. Whether what is written makes sense *together* (references,
cycles, ports) is the business of :mod:`clnrm_nb.validation`, which is also what commands call.
"""

from __future__ import annotations

from clnrm_nb.scenario.build import build
from clnrm_nb.scenario.model import TestFile
from clnrm_nb.scenario.parse import Parsed, parse

__all__ = ["Parsed", "TestFile", "build", "parse"]
