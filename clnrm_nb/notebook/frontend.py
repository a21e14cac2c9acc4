"""The little that needs the browser: keys pressed inside one of our panels, and whether its theme is dark.

Where the front end cannot show it (no anywidget there), panels work by their buttons alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import anywidget
import traitlets

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PANEL_CLASS", "FrontEnd"]

PANEL_CLASS: Final = "clnrm-panel"

# Lab listens for keys before any element does; the attribute is its own way to be told to keep out,
# and it asks the element that has the focus, not those around it.
_SCRIPT: Final = """
export default {
  render({ model, el }) {
    let root = null, tries = 0, timer = null;
    const dark = () => document.body.dataset.jpThemeLight === "false"
      || (document.body.dataset.jpThemeLight === undefined
          && matchMedia("(prefers-color-scheme: dark)").matches);
    const report = () => {
      if (model.get("is_dark") !== dark()) { model.set("is_dark", dark()); model.save_changes(); }
    };
    const press = (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.target.matches("input:not([type=checkbox]), textarea, [contenteditable=true]")) return;
      if (!model.get("shortcuts").includes(event.key)) return;
      event.preventDefault();
      event.stopPropagation();
      model.send({ key: event.key });
    };
    const claim = (event) => event.target.setAttribute("data-lm-suppress-shortcuts", "true");
    const attach = () => {
      root = el.closest(".clnrm-panel");
      if (!root) { if (tries++ < 50) timer = setTimeout(attach, 100); return; }
      root.addEventListener("focusin", claim);
      if (root.contains(document.activeElement)) claim({ target: document.activeElement });
      root.addEventListener("keydown", press);
      measure.observe(root, { childList: true, subtree: true });
      if (model.get("label")) {
        root.setAttribute("role", "region");
        root.setAttribute("aria-label", model.get("label"));
      }
      if (model.get("takes_focus")) root.querySelector("select, button, input")?.focus();
    };
    // A plot that is put into a panel later has not measured its place yet; it does when the window changes.
    const plots = new WeakSet();
    const measure = new MutationObserver(() => {
      for (const plot of root.querySelectorAll(".js-plotly-plot")) {
        if (plots.has(plot)) continue;
        plots.add(plot);
        setTimeout(() => window.dispatchEvent(new Event("resize")), 150);
      }
    });
    const watcher = new MutationObserver(report);
    watcher.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light"] });
    report();
    attach();
    return () => {
      clearTimeout(timer);
      watcher.disconnect();
      measure.disconnect();
      root?.removeEventListener("keydown", press);
      root?.removeEventListener("focusin", claim);
    };
  },
};
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

    _esm = _SCRIPT
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
