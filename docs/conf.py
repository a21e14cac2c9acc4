"""How the documentation is built: ``make docs``."""

from __future__ import annotations

import sys
from pathlib import Path

from clnrm_nb.version import __version__

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "clnrm_nb"
author = "the clnrm_nb developers"
copyright = author  # noqa: A001  # Sphinx names it so.
version = release = __version__

extensions = ["myst_parser", "clnrm_reference"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", "changes"]
myst_heading_anchors = 3
# Nothing is fetched while building: it works without a network, and so do the pages.
html_theme = "furo"
html_title = f"clnrm_nb {release}"
html_show_copyright = False
html_show_sourcelink = False
# Scenario files are TOML with template tags in between, which no lexer takes as TOML.
suppress_warnings = ["misc.highlighting_failure"]
