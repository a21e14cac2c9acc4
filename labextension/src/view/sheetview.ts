/** A whole output: heading, notes, causes, the grid, and the facts of its active row. */

import { type ISheet, counted } from '../model/sheet.js';
import { Outline } from '../model/tree.js';
import { causesNode } from './causes.js';
import { showFacts } from './details.js';
import { element } from './element.js';
import { TreeGrid } from './treegrid.js';

export class SheetView {
  readonly node: HTMLElement;

  constructor(private readonly _sheet: ISheet) {
    this._outline = new Outline(_sheet.tree, _sheet.marked, _sheet.folds);
    this._grid = new TreeGrid(_sheet, this._outline, row => this._showFacts(row));
    this.node = element('div', 'clnrm-View');
    // Plain keys would run commands of the notebook: Enter on a button would edit the cell.
    this.node.dataset.lmSuppressShortcuts = 'true';
    this.node.addEventListener('keydown', event => this._passOn(event), { signal: this._ends.signal });
    this._facts = element('div', 'clnrm-View-facts');
    this.node.append(this._headNode(), ..._sheet.notes.map(noteNode));
    if (_sheet.causes.length > 0) {
      this.node.append(causesNode(_sheet.causes, row => this._grid.show(row), this._ends.signal));
    }
    if (_sheet.tree.count > 0) {
      this.node.append(this._grid.node, this._facts);
      const first = _sheet.marked.indexOf(1);
      this._grid.show(Math.max(first, 0));
    } else if (_sheet.notes.length === 0) {
      this.node.append(element('p', 'clnrm-View-note', 'There are no spans to show.'));
    }
  }

  /** To be called when the node was put on the page or shown again. */
  restore(): void {
    this._grid.restore();
  }

  /** Give everything back: listeners, observers, nodes. */
  dispose(): void {
    this._ends.abort();
    this._grid.dispose();
    this.node.remove();
  }

  private _headNode(): HTMLElement {
    const head = element('div', 'clnrm-View-head');
    const heading = element('span', 'clnrm-View-heading', `${this._sheet.title}: ${this._sheet.heading}`);
    head.append(heading);
    if (this._sheet.folds) {
      head.append(this._foldButton());
    }
    const marks = this._sheet.marked.includes(1) ? `, n and p go to ${this._sheet.markedName}` : '';
    head.append(element('span', 'clnrm-View-keys', `Keys: arrows, Enter${marks}`));
    return head;
  }

  private _foldButton(): HTMLElement {
    const button = element('button', 'clnrm-View-button', 'Only differences');
    button.type = 'button';
    button.setAttribute('aria-pressed', 'true');
    button.title = `Fold what is the same (${counted(this._sheet.tree.count, 'span')} in all)`;
    button.addEventListener(
      'click',
      () => {
        const row = this._grid.activeRow;
        this._outline.folds = !this._outline.folds;
        button.setAttribute('aria-pressed', String(this._outline.folds));
        this._grid.refresh(row);
      },
      { signal: this._ends.signal }
    );
    return button;
  }

  /** Let the application have keys with a modifier as if they were pressed beside the view: Save stays Save. */
  private _passOn(event: KeyboardEvent): void {
    if (!(event.ctrlKey || event.metaKey || event.altKey || event.key === 'Escape')) {
      return;
    }
    const parent = this.node.parentElement;
    if (parent && !parent.dispatchEvent(new KeyboardEvent(event.type, event))) {
      event.preventDefault();
    }
  }

  private _showFacts(row: number): void {
    if (row < 0) {
      this._facts.replaceChildren();
      return;
    }
    showFacts(this._facts, this._sheet.row(row).name, this._sheet.facts(row));
  }

  private readonly _outline: Outline;
  private readonly _grid: TreeGrid;
  private readonly _facts: HTMLElement;
  private readonly _ends = new AbortController();
}

/** What is shown in place of a document that cannot be. */
export function refusalNode(sentence: string): HTMLElement {
  const node = element('p', 'clnrm-View-refusal', sentence);
  node.setAttribute('role', 'note');
  return node;
}

function noteNode(text: string): HTMLElement {
  const node = element('p', 'clnrm-View-note', text);
  node.dir = 'auto';
  return node;
}
