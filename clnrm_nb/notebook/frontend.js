// What a panel needs of the browser: its keys, one tab stop a toolbar, its theme, and plots that fit.

const RETRY_MS = 100;
const MOST_TRIES = 50;

const isDark = () =>
  document.body.dataset.jpThemeLight === undefined
    ? matchMedia("(prefers-color-scheme: dark)").matches
    : document.body.dataset.jpThemeLight === "false";

const isTyping = (target) =>
  target.matches("input:not([type=checkbox]), textarea, [contenteditable=true]");

/** What a plot does itself when the window changes; telling the window would have all of Lab measured anew. */
const fit = (plot) => plot._responsiveChartHandler?.();

/** One button of a toolbar is a tab stop, arrows go to the others (the ARIA pattern of a toolbar). */
function rove(toolbar, event) {
  const buttons = [...toolbar.querySelectorAll("button:not(:disabled)")];
  const here = buttons.indexOf(event.target);
  const there = { ArrowRight: here + 1, ArrowLeft: here - 1, Home: 0, End: buttons.length - 1 }[event.key];
  if (here < 0 || there === undefined) return;
  event.preventDefault();
  event.stopPropagation();
  buttons.at(there % buttons.length).focus();
}

/** Leave exactly one enabled button of a toolbar in the tab order: the one that had the focus last. */
function keepOneStop(toolbar, wanted) {
  const buttons = [...toolbar.querySelectorAll("button")];
  const enabled = buttons.filter((button) => !button.disabled);
  const last = buttons.find((button) => button.tabIndex === 0 && button.dataset.clnrmStop);
  const stop = [wanted, last, enabled[0]].find((button) => enabled.includes(button));
  for (const button of buttons) {
    button.tabIndex = button === stop ? 0 : -1;
    if (button === stop) button.dataset.clnrmStop = "true";
    else delete button.dataset.clnrmStop;
  }
}

export default {
  render({ model, el }) {
    const ended = new AbortController();
    let root = null;
    let tries = 0;
    let retry = null;
    let lastFocus = null;

    const toolbars = () => root.querySelectorAll(".clnrm-toolbar");
    const reportTheme = () => {
      if (model.get("is_dark") === isDark()) return;
      model.set("is_dark", isDark());
      model.save_changes();
    };
    const press = (event) => {
      const toolbar = event.target.closest(".clnrm-toolbar");
      if (toolbar) rove(toolbar, event);
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
      if (isTyping(event.target) || !model.get("shortcuts").includes(event.key)) return;
      event.preventDefault();
      event.stopPropagation();
      model.send({ key: event.key });
    };
    const takeFocus = (event) => {
      // Lab listens for keys before any element does. The attribute is its own way to be told to keep out,
      // and it asks the element that has the focus, not those around it.
      event.target.setAttribute("data-lm-suppress-shortcuts", "true");
      lastFocus = event.target;
      const toolbar = event.target.closest(".clnrm-toolbar");
      if (toolbar) keepOneStop(toolbar, event.target);
    };

    // A plot learns of its place when the window changes; here also when the place does, as beside a sidebar.
    const plots = new Map();
    const sizes = new ResizeObserver((changes) => {
      for (const { target, contentRect } of changes) {
        const width = Math.round(contentRect.width);
        if (width > 0 && plots.get(target) !== width) {
          plots.set(target, width);
          requestAnimationFrame(() => target.querySelectorAll(".js-plotly-plot").forEach(fit));
        }
      }
    });
    const tidy = () => {
      for (const toolbar of toolbars()) {
        toolbar.setAttribute("role", "toolbar");
        toolbar.setAttribute("aria-label", "actions");
        keepOneStop(toolbar);
      }
      // Its content changes; the region itself must stay for that to be said.
      for (const status of root.querySelectorAll(".clnrm-status")) {
        status.setAttribute("role", "status");
        status.setAttribute("aria-live", "polite");
      }
      for (const plot of root.querySelectorAll(".js-plotly-plot")) {
        // Marks of a plot have no names; the list beside it says the same.
        plot.setAttribute("role", "img");
        plot.setAttribute("aria-label", "waterfall of the spans that are listed beside it");
        if (!plots.has(plot.parentElement)) {
          plots.set(plot.parentElement, 0);
          sizes.observe(plot.parentElement);
        }
      }
      for (const place of plots.keys()) {
        if (!root.contains(place)) {
          sizes.unobserve(place);
          plots.delete(place);
        }
      }
      // A button that is no longer of use takes the focus with it; keys would go nowhere.
      if (lastFocus && (lastFocus.disabled || !lastFocus.isConnected) && document.activeElement === document.body) {
        const stop = root.querySelector(".clnrm-toolbar button[data-clnrm-stop]");
        (stop ?? root.querySelector("select, button:not(:disabled)"))?.focus();
      }
    };
    const content = new MutationObserver(tidy);

    const attach = () => {
      root = el.closest(".clnrm-panel");
      if (!root) {
        if (tries++ < MOST_TRIES) retry = setTimeout(attach, RETRY_MS);
        return;
      }
      root.addEventListener("focusin", takeFocus, { signal: ended.signal });
      root.addEventListener("keydown", press, { signal: ended.signal });
      if (root.contains(document.activeElement)) takeFocus({ target: document.activeElement });
      if (model.get("label")) {
        root.setAttribute("role", "region");
        root.setAttribute("aria-label", model.get("label"));
      }
      tidy();
      content.observe(root, { childList: true, subtree: true, attributes: true, attributeFilter: ["disabled"] });
      if (model.get("takes_focus")) root.querySelector("select, button, input")?.focus();
    };

    const theme = new MutationObserver(reportTheme);
    theme.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light"] });
    reportTheme();
    attach();
    return () => {
      clearTimeout(retry);
      ended.abort();
      theme.disconnect();
      content.disconnect();
      sizes.disconnect();
    };
  },
};
