"""One layout for scenario files, found without rendering them (``clnrm fmt``).

White space is all that ever changes, with trailing commas of arrays: keys, tables, comments, strings and
template statements stay as and where they are, so that data before and after are the same. A template is
formatted as the text it is. Where its statements leave in doubt what is TOML and what is the inside of a
string, the text from there on stays as it was; and whatever the formatter did is proved before it is handed
out (:mod:`clnrm_nb.formatter.proof`).

:mod:`markers` spaces template markers, :mod:`lexer` cuts the text into tokens that fill it without a gap,
:mod:`statements` makes lines of them and writes each anew, :mod:`values` does so for keys and values, and
:mod:`layout` puts blank lines where they belong.
"""

from __future__ import annotations

from clnrm_nb.formatter.text import Formatted, format_source, format_text, is_formatted

__all__ = ["Formatted", "format_source", "format_text", "is_formatted"]
