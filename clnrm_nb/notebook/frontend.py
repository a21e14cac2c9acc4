"""The little that needs the browser: keys, tab stops and live regions of our panels, their theme and size.

What it does stands in ``frontend.js``. Where the front end cannot show it (no anywidget there), panels work
by their buttons alone. A panel marks its parts by classes: itself :data:`PANEL_CLASS`, rows of buttons
:data:`TOOLBAR_CLASS`, and what is to be read aloud when it changes :data:`STATUS_CLASS`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import anywidget
import traitlets

from clnrm_nb.report.html import STYLE

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PANEL_CLASS", "PANEL_STYLE", "STATUS_CLASS", "TOOLBAR_CLASS", "FrontEnd"]

PANEL_CLASS: Final = "clnrm-panel"
TOOLBAR_CLASS: Final = "clnrm-toolbar"
STATUS_CLASS: Final = "clnrm-status"

PANEL_STYLE: Final = f"""{STYLE}
.{PANEL_CLASS} :focus-visible{{outline:2px solid var(--jp-brand-color1,#5b8def)!important;outline-offset:1px}}
.{PANEL_CLASS} select,.{PANEL_CLASS} code\
{{font-family:var(--jp-code-font-family,monospace);font-size:var(--jp-code-font-size,13px)}}
.{PANEL_CLASS} .{TOOLBAR_CLASS}{{flex-flow:row wrap;gap:4px;align-items:center}}
.{PANEL_CLASS} .{TOOLBAR_CLASS} button{{width:auto;min-width:24px;margin:0;padding:0 10px}}
.{PANEL_CLASS} .{STATUS_CLASS}{{flex:0 1 auto;margin-right:8px}}
.{PANEL_CLASS} kbd{{font-family:var(--jp-code-font-family,monospace);\
border:1px solid var(--jp-border-color1,#8888);border-radius:3px;padding:0 .35em}}
"""


class FrontEnd(anywidget.AnyWidget):
    """An invisible part of a panel whose outer box has the class :data:`PANEL_CLASS`.

    Attributes
    ----------
    shortcuts : list of str
        Keys that are taken, as ``KeyboardEvent.key`` names them; typing into fields is left alone.
    is_dark : bool
        Whether the page is dark; changes with it.
    """

    _esm = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")
    shortcuts = traitlets.List(traitlets.Unicode()).tag(sync=True)
    label = traitlets.Unicode().tag(sync=True)
    takes_focus = traitlets.Bool().tag(sync=True)
    is_dark = traitlets.Bool().tag(sync=True)

    def on_key(self, act: Callable[[str], None]) -> None:
        """Call `act` with each key that is pressed."""

        def take(_: Any, message: dict[str, Any], __: Any) -> None:
            key = message.get("key")
            if isinstance(key, str):
                act(key)

        self.on_msg(take)
