/** What a view shows, whatever kind of document it came from. */

import type { ITree } from './tree.js';

/** States of a row; each has a sign, a word and a colour, in this order of importance. */
export type State = 'same' | 'changed' | 'added' | 'missing' | 'moved' | 'renamed' | 'error' | 'plain';

/** Sign and word of each state; the colour is in `style/`. */
export const STATES: Readonly<Record<State, { readonly sign: string; readonly word: string }>> = {
  same: { sign: '✓', word: 'same' },
  changed: { sign: '~', word: 'changed' },
  added: { sign: '+', word: 'added' },
  missing: { sign: '−', word: 'missing' },
  moved: { sign: '↦', word: 'moved' },
  renamed: { sign: '✎', word: 'renamed' },
  error: { sign: '‼', word: 'error' },
  plain: { sign: '', word: '' }
};

export function isState(word: string): word is State {
  return Object.hasOwn(STATES, word);
}

/** A bar, in shares (0 to 1) of the length of its test. */
export interface IBar {
  readonly left: number;
  readonly width: number;
}

export interface IRow {
  readonly state: State;
  readonly name: string;
  readonly service: string;
  readonly duration: string;
  readonly bar: IBar | null;
}

/** One fact of a row; `before` is there where it differs from the baseline. */
export interface IFact {
  readonly label: string;
  readonly state: State;
  readonly before: string | null;
  readonly now: string | null;
  readonly note: string;
}

/** One edit among those that a cause explains. */
export interface IMember {
  /** The row it concerns; -1 where that is not in the window. */
  readonly row: number;
  /** The name of the row, or its path. */
  readonly place: string;
  readonly fact: IFact;
}

/** What several edits come from: one sentence instead of many. */
export interface ICause {
  readonly sentence: string;
  /** How many edits, and what they cost. */
  readonly size: string;
  readonly isCounted: boolean;
  /** Edits of it that the document does not hold. */
  readonly hidden: number;
  members(): readonly IMember[];
}

/** A document, ready to be shown row by row. */
export interface ISheet {
  /** `Trace` or `Diff`: what the grid is called. */
  readonly title: string;
  /** One line about the whole. */
  readonly heading: string;
  /** What the person should know besides: a window, an incomplete trace. */
  readonly notes: readonly string[];
  /** What the differences come from; empty for a trace. */
  readonly causes: readonly ICause[];
  readonly tree: ITree;
  /** 1 for the rows that `n` and `p` go to. */
  readonly marked: Uint8Array;
  /** What the marked rows are called, in the plural. */
  readonly markedName: string;
  /** Whether rows without a mark start folded. */
  readonly folds: boolean;
  row(index: number): IRow;
  facts(index: number): readonly IFact[];
}

/** A fact that is the same on both sides, or has one side only. */
export function plainFact(label: string, now: string): IFact {
  return { label, state: 'plain', before: null, now, note: '' };
}

/** `1,234 spans`, `1 span`. */
export function counted(count: number, one: string): string {
  return `${count.toLocaleString('en-US')} ${one}${count === 1 ? '' : 's'}`;
}

/** Microseconds as people read them; empty where unknown (negative). */
export function durationText(micros: number): string {
  if (micros < 0) {
    return '';
  }
  if (micros < 1_000) {
    return `${micros} µs`;
  }
  const [value, unit] = micros < 1_000_000 ? [micros / 1_000, 'ms'] : [micros / 1_000_000, 's'];
  return `${value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)} ${unit}`;
}

/** The bar of a span, null where a time is unknown. */
export function barOf(start: number, duration: number, length: number): IBar | null {
  if (start < 0 || duration < 0 || length <= 0) {
    return null;
  }
  const left = Math.min(start / length, 1);
  return { left, width: Math.min(duration / length, 1 - left) };
}
