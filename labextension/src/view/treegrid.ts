/**
 * The rows of a sheet as a `treegrid` that holds nodes only for what is in view.
 *
 * The grid itself has the focus and names its active row (`aria-activedescendant`): a row that scrolls away
 * takes no focus with it. Every change is drawn once, in the next animation frame.
 */

import { type ISheet, STATES } from '../model/sheet.js';
import { type Line, Outline } from '../model/tree.js';
import { element } from './element.js';

const ROW_PX = 24;
/** Rows drawn above and below those in view, so that scrolling by a wheel's step shows no gap. */
const MARGIN_ROWS = 8;
/** Paper has no scroll bar: rows are laid out one below the other, up to so many. */
const PRINTED_ROWS = 2_000;
/** Deeper levels are not indented further: the name would leave the column. */
const DEEPEST_INDENT = 24;
const COLUMNS = ['Span', 'Service', 'Duration', 'When'] as const;

let made = 0;

export class TreeGrid {
  readonly node: HTMLElement;

  /**
   * @param onActive - called with the row that became active; -1 for a line that stands for several rows.
   */
  constructor(
    private readonly _sheet: ISheet,
    private readonly _outline: Outline,
    private readonly _onActive: (row: number) => void
  ) {
    this._prefix = `clnrm-grid-${++made}`;
    this.node = element('div', 'clnrm-Grid');
    this.node.tabIndex = 0;
    this.node.setAttribute('role', 'treegrid');
    this.node.setAttribute('aria-label', _sheet.title);
    this.node.setAttribute('aria-colcount', String(COLUMNS.length));
    this._body = element('div', 'clnrm-Grid-body');
    this._body.setAttribute('role', 'rowgroup');
    this.node.append(headerNode(), this._body);
    const { signal } = this._ends;
    this.node.addEventListener('scroll', () => this._onScroll(), { signal, passive: true });
    this.node.addEventListener('keydown', event => this._onKey(event), { signal });
    this.node.addEventListener('click', event => this._onClick(event), { signal });
    this.node.addEventListener('dblclick', event => this._onDoubleClick(event), { signal });
    this._resizes = new ResizeObserver(() => this.restore());
    this._resizes.observe(this.node);
    window.addEventListener('beforeprint', () => this._print(true), { signal });
    window.addEventListener('afterprint', () => this._print(false), { signal });
    const paper = window.matchMedia('print');
    paper.addEventListener('change', () => this._print(paper.matches), { signal });
  }

  /** Draw everything anew, after the outline was changed from outside; `row`, or what hides it, is active. */
  refresh(row: number): void {
    this._redraw();
    this._activate(this._outline.indexOf(row));
  }

  /** Make a row active, opening whatever hides it. */
  show(row: number): void {
    this._outline.reveal(row);
    this.refresh(row);
  }

  /** Draw what is in view, where it was: a node that is hidden or moved for a moment loses its scroll position. */
  restore(): void {
    if (this.node.clientHeight > 0) {
      this.node.scrollTop = this._scrollTop;
    }
    this._draw();
  }

  /** The active row; of a folded line the first it stands for. */
  get activeRow(): number {
    return this._outline.length > 0 ? this._outline.at(this._active).row : -1;
  }

  dispose(): void {
    this._ends.abort();
    this._resizes.disconnect();
    cancelAnimationFrame(this._frame);
    this._drawn.clear();
    this.node.remove();
  }

  // ------------------------------------------------------------------------------------------ drawing

  private _redraw(): void {
    this._drawn.clear();
    this._body.replaceChildren();
    this._draw();
  }

  private _draw(): void {
    if (this._frame === 0) {
      this._frame = requestAnimationFrame(() => {
        this._frame = 0;
        this._drawNow();
      });
    }
  }

  private _drawNow(): void {
    const { length } = this._outline;
    this.node.setAttribute('aria-rowcount', String(length + 1));
    this._body.style.height = this._printing ? '' : `${length * ROW_PX}px`;
    this._scrollToActive();
    const [first, end] = this._range(length);
    for (const [index, node] of this._drawn) {
      if (index < first || index >= end) {
        node.remove();
        this._drawn.delete(index);
      }
    }
    for (let index = first; index < end; index++) {
      if (!this._drawn.has(index)) {
        this._insert(index);
      }
    }
    this._markActive();
  }

  /** Once after each move, when the rows have their height and the grid is on the page. */
  private _scrollToActive(): void {
    // The header stays in view and takes the place of a row.
    const room = this.node.clientHeight - ROW_PX;
    if (!this._toActive || this._printing || room <= 0) {
      return;
    }
    this._toActive = false;
    const top = this._active * ROW_PX;
    if (top < this.node.scrollTop) {
      this.node.scrollTop = top;
    } else if (top + ROW_PX > this.node.scrollTop + room) {
      this.node.scrollTop = top + ROW_PX - room;
    }
    this._scrollTop = this.node.scrollTop;
  }

  private _onScroll(): void {
    this._scrollTop = this.node.scrollTop;
    this._draw();
  }

  private _range(length: number): readonly [number, number] {
    if (this._printing) {
      return [0, Math.min(length, PRINTED_ROWS)];
    }
    const first = Math.floor(this.node.scrollTop / ROW_PX) - MARGIN_ROWS;
    const end = Math.ceil((this.node.scrollTop + this.node.clientHeight) / ROW_PX) + MARGIN_ROWS;
    return [Math.max(first, 0), Math.min(Math.max(end, 0), length)];
  }

  /** In the order of the lines, as screen readers and paper read the nodes one after the other. */
  private _insert(index: number): void {
    const node = this._lineNode(index);
    const next = this._drawn.get(index + 1);
    const before = this._drawn.get(index - 1);
    if (next) {
      next.before(node);
    } else if (before) {
      before.after(node);
    } else {
      this._body.append(node);
    }
    this._drawn.set(index, node);
  }

  private _lineNode(index: number): HTMLElement {
    const line = this._outline.at(index);
    const { tree } = this._outline;
    const node = element('div', 'clnrm-Row');
    node.id = `${this._prefix}-${index}`;
    node.dataset.line = String(index);
    node.style.top = `${index * ROW_PX}px`;
    node.setAttribute('role', 'row');
    node.setAttribute('aria-rowindex', String(index + 2));
    const level = tree.levels[line.row] ?? 0;
    node.setAttribute('aria-level', String(level + 1));
    node.style.setProperty('--clnrm-level', String(Math.min(level, DEEPEST_INDENT)));
    if (line.kind === 'fold') {
      node.append(...foldCells(line.count));
      node.classList.add('clnrm-mod-fold');
      node.setAttribute('aria-expanded', 'false');
    } else {
      node.append(...this._rowCells(line.row, node));
      node.setAttribute('aria-posinset', String(tree.places[line.row]));
      node.setAttribute('aria-setsize', String(tree.setSizes[line.row]));
    }
    return node;
  }

  private _rowCells(index: number, node: HTMLElement): HTMLElement[] {
    const row = this._sheet.row(index);
    node.dataset.state = row.state;
    const twisty = element('span', 'clnrm-Row-twisty');
    if (this._outline.hasChildren(index)) {
      const expanded = this._outline.isExpanded(index);
      node.setAttribute('aria-expanded', String(expanded));
      twisty.textContent = expanded ? '▾' : '▸';
    }
    twisty.setAttribute('aria-hidden', 'true');
    const { sign, word } = STATES[row.state];
    const mark = element('span', 'clnrm-Row-sign', sign);
    mark.setAttribute('aria-hidden', 'true');
    const name = element('span', 'clnrm-Row-name', row.name);
    name.dir = 'auto';
    name.title = row.name;
    const first = cell('clnrm-Row-span', 'rowheader');
    first.append(twisty, mark);
    if (word) {
      first.append(element('span', 'clnrm-hidden', `${word} `));
    }
    first.append(name);
    const service = cell('clnrm-Row-service', 'gridcell', row.service);
    service.dir = 'auto';
    service.title = row.service;
    const when = cell('clnrm-Row-when', 'gridcell');
    if (row.bar) {
      const bar = element('span', 'clnrm-Row-bar');
      bar.style.left = `${row.bar.left * 100}%`;
      bar.style.width = `${row.bar.width * 100}%`;
      when.append(bar);
    }
    return [first, service, cell('clnrm-Row-duration', 'gridcell', row.duration), when];
  }

  private _markActive(): void {
    for (const [index, node] of this._drawn) {
      node.setAttribute('aria-selected', String(index === this._active));
    }
    const drawn = this._drawn.get(this._active);
    if (drawn) {
      this.node.setAttribute('aria-activedescendant', drawn.id);
    } else {
      this.node.removeAttribute('aria-activedescendant');
    }
  }

  private _print(printing: boolean): void {
    if (this._printing === printing) {
      return;
    }
    this._printing = printing;
    this.node.classList.toggle('clnrm-mod-printing', printing);
    cancelAnimationFrame(this._frame);
    this._frame = 0;
    this._drawn.clear();
    this._body.replaceChildren();
    // The browser takes its picture as soon as the event is over.
    this._drawNow();
  }

  // ----------------------------------------------------------------------------------------- moving

  private _activate(index: number): void {
    this._active = Math.max(0, Math.min(index, this._outline.length - 1));
    this._toActive = true;
    this._draw();
    const line = this._line();
    this._onActive(line?.kind === 'row' ? line.row : -1);
  }

  private _line(): Line | null {
    return this._outline.length > 0 ? this._outline.at(this._active) : null;
  }

  private _onClick(event: MouseEvent): void {
    const target = event.target instanceof Element ? event.target : null;
    const index = lineIndexOf(target);
    if (index < 0) {
      return;
    }
    this._activate(index);
    if (target?.closest('.clnrm-Row-twisty, .clnrm-mod-fold')) {
      this._toggle();
    }
  }

  private _onDoubleClick(event: MouseEvent): void {
    const target = event.target instanceof Element ? event.target : null;
    if (lineIndexOf(target) >= 0 && !target?.closest('.clnrm-Row-twisty, .clnrm-mod-fold')) {
      this._toggle();
    }
  }

  private _onKey(event: KeyboardEvent): void {
    const action = event.ctrlKey || event.metaKey || event.altKey ? undefined : this._actions[event.key];
    if (action) {
      event.preventDefault();
      event.stopPropagation();
      action();
    }
  }

  private _toggle(): void {
    const line = this._line();
    if (line?.kind === 'fold') {
      this._outline.unfold(line.row);
    } else if (line && this._outline.hasChildren(line.row)) {
      this._outline.setExpanded(line.row, !this._outline.isExpanded(line.row));
    } else {
      return;
    }
    this._redraw();
    this._activate(this._active);
  }

  private _right(): void {
    const line = this._line();
    if (line?.kind === 'fold' || (line && !this._outline.isExpanded(line.row))) {
      this._toggle();
    } else if (line && this._outline.hasChildren(line.row)) {
      this._activate(this._active + 1);
    }
  }

  private _left(): void {
    const line = this._line();
    if (line?.kind === 'row' && this._outline.hasChildren(line.row) && this._outline.isExpanded(line.row)) {
      this._toggle();
      return;
    }
    const parent = line ? (this._outline.tree.parents[line.row] ?? -1) : -1;
    if (parent >= 0) {
      this._activate(this._outline.indexOf(parent));
    }
  }

  private _marked(direction: 1 | -1): void {
    const next = this._outline.nextMarked(this.activeRow, direction);
    if (next >= 0) {
      this.show(next);
    }
  }

  private get _page(): number {
    return Math.max(1, Math.floor(this.node.clientHeight / ROW_PX) - 2);
  }

  private readonly _actions: Readonly<Record<string, () => void>> = {
    ArrowDown: () => this._activate(this._active + 1),
    ArrowUp: () => this._activate(this._active - 1),
    ArrowRight: () => this._right(),
    ArrowLeft: () => this._left(),
    PageDown: () => this._activate(this._active + this._page),
    PageUp: () => this._activate(this._active - this._page),
    Home: () => this._activate(0),
    End: () => this._activate(this._outline.length - 1),
    Enter: () => this._toggle(),
    ' ': () => this._toggle(),
    n: () => this._marked(1),
    p: () => this._marked(-1)
  };

  private readonly _prefix: string;
  private readonly _body: HTMLElement;
  private readonly _drawn = new Map<number, HTMLElement>();
  private readonly _ends = new AbortController();
  private readonly _resizes: ResizeObserver;
  private _active = 0;
  private _toActive = false;
  private _scrollTop = 0;
  private _frame = 0;
  private _printing = false;
}

function headerNode(): HTMLElement {
  const row = element('div', 'clnrm-Row clnrm-mod-header');
  row.setAttribute('role', 'row');
  row.setAttribute('aria-rowindex', '1');
  row.append(
    ...COLUMNS.map(name => cell(`clnrm-Row-${name.toLowerCase()}`, 'columnheader', name))
  );
  const group = element('div', 'clnrm-Grid-header');
  group.setAttribute('role', 'rowgroup');
  group.append(row);
  return group;
}

function cell(className: string, role: string, text?: string): HTMLElement {
  const node = element('div', className, text);
  node.setAttribute('role', role);
  return node;
}

function foldCells(count: number): HTMLElement[] {
  const node = cell('clnrm-Row-span', 'gridcell');
  node.setAttribute('aria-colspan', String(COLUMNS.length));
  const twisty = element('span', 'clnrm-Row-twisty', '▸');
  twisty.setAttribute('aria-hidden', 'true');
  node.append(twisty, element('span', 'clnrm-Row-name', `… ${count.toLocaleString('en-US')} unchanged`));
  return [node];
}

function lineIndexOf(target: Element | null): number {
  const row = target?.closest<HTMLElement>('[data-line]');
  return row ? Number(row.dataset.line) : -1;
}
