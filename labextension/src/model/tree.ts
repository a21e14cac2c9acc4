/**
 * Rows in pre-order with their levels, and the lines of them that are open at the moment.
 *
 * Knows nothing of the page. Nothing recurses: a chain of 100,000 spans is a trace like any other.
 */

/** The shape of a forest whose rows stand in pre-order. */
export interface ITree {
  readonly count: number;
  /** Row of the parent, -1 for roots. */
  readonly parents: Int32Array;
  /** 0 for roots. */
  readonly levels: Int32Array;
  /** The row behind the last one below this. */
  readonly ends: Int32Array;
  /** 1-based place among the siblings. */
  readonly places: Int32Array;
  /** How many siblings there are, this one included. */
  readonly setSizes: Int32Array;
}

/**
 * The tree of a column of parents. A parent that does not stand above its row (the data is a stranger's)
 * makes the row a root, so that every row has exactly one place whatever the column says.
 */
export function treeOf(parents: ArrayLike<number>): ITree {
  const count = parents.length;
  const tree = {
    count,
    parents: new Int32Array(count),
    levels: new Int32Array(count),
    ends: new Int32Array(count),
    places: new Int32Array(count),
    setSizes: new Int32Array(count)
  };
  // Index 0 counts the roots, index row + 1 the children of a row.
  const children = new Int32Array(count + 1);
  const open: number[] = [];
  const standing = new Uint8Array(count);
  for (let row = 0; row < count; row++) {
    const claimed = parents[row] ?? -1;
    const parent = claimed >= 0 && standing[claimed] === 1 ? claimed : -1;
    for (let last = open.at(-1); last !== undefined && last !== parent; last = open.at(-1)) {
      open.pop();
      standing[last] = 0;
      tree.ends[last] = row;
    }
    tree.parents[row] = parent;
    tree.levels[row] = open.length;
    tree.places[row] = children[parent + 1] = (children[parent + 1] ?? 0) + 1;
    open.push(row);
    standing[row] = 1;
  }
  for (const row of open) {
    tree.ends[row] = count;
  }
  for (let row = 0; row < count; row++) {
    tree.setSizes[row] = children[(tree.parents[row] ?? -1) + 1] ?? 1;
  }
  return tree;
}

/** One line of the view: a row, or what stands for rows of no interest. */
export type Line =
  | { readonly kind: 'row'; readonly row: number }
  | { readonly kind: 'fold'; readonly row: number; readonly count: number };

/** Which rows are open. Lines are computed when they are asked for after a change. */
export class Outline {
  /**
   * @param marked - 1 for rows a person looks for: differences, errors.
   * @param folds - whether neighbours without a mark on or below them stand folded into one line.
   */
  constructor(
    readonly tree: ITree,
    readonly marked: Uint8Array,
    folds: boolean
  ) {
    this._folds = folds;
    this._collapsed = new Uint8Array(tree.count);
    this._kept = this._withAncestors(marked);
  }

  /** Whether rows without a mark on or below them are folded. */
  get folds(): boolean {
    return this._folds;
  }

  set folds(value: boolean) {
    this._folds = value;
    this._opened.clear();
    this._lines = null;
  }

  /** How many lines there are. */
  get length(): number {
    return this._current().length;
  }

  /** The line at an index of 0 to `length` - 1. */
  at(index: number): Line {
    const value = this._current()[index] ?? 0;
    if (value >= 0) {
      return { kind: 'row', row: value };
    }
    return { kind: 'fold', row: ~value, count: this._foldCounts.get(~value) ?? 0 };
  }

  /** Index of the line that shows a row: itself, its fold, or the collapsed row above it. */
  indexOf(row: number): number {
    const lines = this._current();
    let low = 0;
    let high = lines.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      const value = lines[middle] ?? 0;
      if ((value >= 0 ? value : ~value) <= row) {
        low = middle;
      } else {
        high = middle - 1;
      }
    }
    return low;
  }

  hasChildren(row: number): boolean {
    return (this.tree.ends[row] ?? 0) > row + 1;
  }

  isExpanded(row: number): boolean {
    return this._collapsed[row] === 0;
  }

  /** Open or close what is below a row. */
  setExpanded(row: number, expanded: boolean): void {
    this._collapsed[row] = expanded ? 0 : 1;
    this._lines = null;
  }

  /** Open the fold that starts at a row. */
  unfold(row: number): void {
    this._opened.add(row);
    this._lines = null;
  }

  /** Open whatever hides a row. */
  reveal(row: number): void {
    for (let above = this.tree.parents[row] ?? -1; above >= 0; above = this.tree.parents[above] ?? -1) {
      this._collapsed[above] = 0;
    }
    this._lines = null;
    const line = this.at(this.indexOf(row));
    if (line.kind === 'fold') {
      this.unfold(line.row);
    }
  }

  /** The next marked row in a direction (1 or -1), -1 where there is none. */
  nextMarked(row: number, direction: 1 | -1): number {
    for (let next = row + direction; next >= 0 && next < this.tree.count; next += direction) {
      if (this.marked[next] === 1) {
        return next;
      }
    }
    return -1;
  }

  private _withAncestors(marked: Uint8Array): Uint8Array {
    const kept = marked.slice();
    // Children stand behind their parents, so one pass from the end carries every mark to the top.
    for (let row = this.tree.count - 1; row >= 0; row--) {
      const parent = this.tree.parents[row] ?? -1;
      if (kept[row] === 1 && parent >= 0) {
        kept[parent] = 1;
      }
    }
    return kept;
  }

  private _current(): Int32Array {
    this._lines ??= this._computed();
    return this._lines;
  }

  private _computed(): Int32Array {
    const { count, ends } = this.tree;
    const lines = new Int32Array(count);
    let used = 0;
    let openUntil = 0;
    this._foldCounts.clear();
    for (let row = 0; row < count; ) {
      const end = this._folds && row >= openUntil ? this._foldEnd(row) : row;
      // A fold of a single span would hide it behind a line of the same height.
      if (end > row + 1 && !this._opened.has(row)) {
        this._foldCounts.set(row, end - row);
        lines[used++] = ~row;
        row = end;
        continue;
      }
      openUntil = Math.max(openUntil, end);
      lines[used++] = row;
      row = this._collapsed[row] === 1 ? (ends[row] ?? count) : row + 1;
    }
    return lines.subarray(0, used);
  }

  /** Behind the last of the siblings from `row` on that have no mark on or below them. */
  private _foldEnd(row: number): number {
    const { count, ends, parents } = this.tree;
    const parent = parents[row];
    let end = row;
    while (end < count && parents[end] === parent && this._kept[end] === 0) {
      end = ends[end] ?? count;
    }
    return end;
  }

  private _folds: boolean;
  private _lines: Int32Array | null = null;
  private readonly _collapsed: Uint8Array;
  private readonly _kept: Uint8Array;
  private readonly _opened = new Set<number>();
  private readonly _foldCounts = new Map<number, number>();
}
