"""Spans from files, bytes and standard input: one way in, whatever the form.

The form is recognised by content, never by file name, and may be overruled. Everything readable is read;
what is not is counted and said in the :class:`LoadReport`. A source without any span is an error that says
what it holds instead.
"""

from __future__ import annotations

from clnrm_nb.spans.loaders.load import INPUT_FORMATS, load
from clnrm_nb.spans.loaders.report import LoadReport, RefusedLine
from clnrm_nb.spans.loaders.write import write_otlp_json

__all__ = ["INPUT_FORMATS", "LoadReport", "RefusedLine", "load", "write_otlp_json"]
