"""How figures of a notebook follow its theme without the kernel; importing this imports no plotly."""

from __future__ import annotations

from typing import Final

__all__ = ["FIGURE_CLASS", "FIGURE_STYLE"]

FIGURE_CLASS: Final = "clnrm-figure"

FIGURE_STYLE: Final = f"""
.{FIGURE_CLASS} .main-svg text{{fill:var(--jp-ui-font-color1,currentColor)!important}}
.{FIGURE_CLASS} .main-svg .gridlayer path{{stroke:var(--jp-border-color2,#8885)!important}}
.{FIGURE_CLASS} .main-svg .scatterlayer path{{stroke:var(--jp-ui-font-color1,currentColor)!important}}
.{FIGURE_CLASS} .main-svg .hoverlayer text{{fill:#fff!important}}
.{FIGURE_CLASS} .main-svg .hoverlayer path{{fill:#333!important;stroke:#fff!important}}
.{FIGURE_CLASS} .modebar{{display:none!important}}
"""
"""What follows the theme by itself, also while the kernel is busy: text, grid, frames."""
