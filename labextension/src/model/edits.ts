/** The edits of a diff document: what differs, old and new, and what the differences come from. */

import { Columns, type JSONRecord, decoded, isRecord, listAt, recordAt, textAt, wordsAt } from './reading.js';
import { type ICause, type IFact, type State, counted } from './sheet.js';

/** What one row is called in words, by the operation of its edit. */
const OPERATIONS: ReadonlyMap<string, readonly [string, State]> = new Map([
  ['attr~', ['attribute', 'changed']],
  ['attr+', ['attribute', 'added']],
  ['attr-', ['attribute', 'missing']],
  ['resource~', ['resource', 'changed']],
  ['resource+', ['resource', 'added']],
  ['resource-', ['resource', 'missing']],
  ['status', ['status', 'changed']],
  ['event~', ['event', 'changed']],
  ['event+', ['event', 'added']],
  ['event-', ['event', 'missing']],
  ['link+', ['link', 'added']],
  ['link-', ['link', 'missing']],
  ['kind', ['kind', 'changed']],
  ['scope', ['scope', 'changed']],
  ['service', ['service', 'changed']],
  ['rename', ['name', 'renamed']],
  ['move', ['moved', 'moved']],
  ['wrap', ['wrapped in', 'added']],
  ['unwrap', ['no longer wrapped in', 'missing']],
  ['count', ['count', 'changed']],
  ['insert', ['subtree', 'added']],
  ['delete', ['subtree', 'missing']],
  ['order', ['order', 'changed']],
  ['duration', ['duration', 'changed']]
]);

const COLUMNS = [
  'cause',
  'op',
  'key',
  'baseline',
  'current',
  'path',
  'baseline_path',
  'counted',
  'rule',
  'reason',
  'review'
] as const;
const WORDS = ['ops', 'keys', 'paths', 'rules', 'reasons', 'reviews', 'messages'] as const;

/** The edits of a diff: as facts of the rows they concern, and gathered by what caused them. */
export class Edits {
  constructor(document: JSONRecord) {
    const columns = new Columns(recordAt(document, 'edits'));
    this._columns = new Map(COLUMNS.map(name => [name, columns.numbers(name)]));
    this._words = new Map(WORDS.map(name => [name, wordsAt(document, name)]));
    this._values = listAt(document, 'values');
    this._causes = new Columns(recordAt(document, 'causes'));
  }

  /** Facts of the edits named as `3,7`, or `-` for none. */
  facts(packed: string): readonly IFact[] {
    return this._indices(packed).map(index => this._fact(index));
  }

  /**
   * What the edits come from, in the order of the document; those that count first.
   *
   * @param rows - the edits of each row, packed as for `facts`.
   * @param nameOf - the name of a row.
   */
  causes(rows: readonly string[], nameOf: (row: number) => string): readonly ICause[] {
    const messages = this._causes.numbers('message');
    const costs = this._causes.numbers('cost');
    const sizes = this._causes.numbers('edits');
    const counted_ = this._causes.numbers('counted');
    const members = this._byCause();
    const rowOf = this._rowOfEdit(rows);
    const causes = Array.from(messages, (message, cause): ICause => ({
      sentence: this._words.get('messages')?.[message] ?? '',
      size: `${counted(sizes[cause] ?? 0, 'edit')}, cost ${(costs[cause] ?? 0).toLocaleString('en-US')}`,
      isCounted: counted_[cause] === 1,
      hidden: Math.max((sizes[cause] ?? 0) - (members.get(cause)?.length ?? 0), 0),
      members: () =>
        (members.get(cause) ?? []).map(index => {
          const row = rowOf.get(index) ?? -1;
          return { row, fact: this._fact(index), place: row < 0 ? this._path(index) : nameOf(row) };
        })
    }));
    return [...causes.filter(cause => cause.isCounted), ...causes.filter(cause => !cause.isCounted)];
  }

  private _indices(packed: string): readonly number[] {
    const indices = packed === '-' ? [] : decoded(packed).split(',').map(Number);
    return indices.filter(index => index >= 0 && index < this._length);
  }

  private _byCause(): ReadonlyMap<number, readonly number[]> {
    const members = new Map<number, number[]>();
    this._columns.get('cause')?.forEach((cause, index) => {
      const list = members.get(cause);
      if (list) {
        list.push(index);
      } else {
        members.set(cause, [index]);
      }
    });
    return members;
  }

  private _rowOfEdit(rows: readonly string[]): ReadonlyMap<number, number> {
    return new Map(rows.flatMap((packed, row) => this._indices(packed).map(index => [index, row] as const)));
  }

  private _path(index: number): string {
    return this._word('paths', 'path', index) || this._word('paths', 'baseline_path', index);
  }

  private get _length(): number {
    return this._columns.get('op')?.length ?? 0;
  }

  private _fact(index: number): IFact {
    const operation = this._word('ops', 'op', index);
    const [label, state] = OPERATIONS.get(operation) ?? [operation, 'changed'];
    const key = this._word('keys', 'key', index);
    const [before, now] = this._sides(operation, state, index);
    return {
      label: [label, key].filter(Boolean).join(' '),
      state,
      before,
      now,
      note: this._note(index)
    };
  }

  /** Old and new text; one of them null where the edit has one side only. */
  private _sides(operation: string, state: State, index: number): readonly [string | null, string | null] {
    if (operation === 'move') {
      return [this._word('paths', 'baseline_path', index), this._word('paths', 'path', index)];
    }
    const [before, now] = [this._value('baseline', index), this._value('current', index)];
    return [state === 'added' ? null : before, state === 'missing' ? null : now];
  }

  private _note(index: number): string {
    const isCounted = this._number('counted', index) === 1;
    const rule = this._word('rules', 'rule', index);
    return [
      isCounted ? '' : `does not count${rule ? ` (${rule})` : ''}`,
      this._word('reviews', 'review', index),
      this._word('reasons', 'reason', index)
    ]
      .filter(Boolean)
      .join(' · ');
  }

  private _number(column: string, index: number): number {
    return this._columns.get(column)?.[index] ?? -1;
  }

  private _word(list: string, column: string, index: number): string {
    return this._words.get(list)?.[this._number(column, index)] ?? '';
  }

  private _value(column: string, index: number): string {
    return valueText(this._values[this._number(column, index)]);
  }

  private readonly _columns: ReadonlyMap<string, Float64Array>;
  private readonly _words: ReadonlyMap<string, readonly string[]>;
  private readonly _values: readonly unknown[];
  private readonly _causes: Columns;
}

/** A value as it is typed in JSON, so that "200" and 200 look different; a subtree and a status in words. */
export function valueText(value: unknown): string {
  if (value === undefined || value === null) {
    return 'null';
  }
  if (isRecord(value) && typeof value.name === 'string' && typeof value.spans === 'number') {
    const service = textAt(value, 'service');
    return `${value.name}${service ? ` [${service}]` : ''}, ${counted(value.spans, 'span')}`;
  }
  if (isRecord(value) && typeof value.code === 'string' && typeof value.message === 'string') {
    return value.message === '' ? value.code : `${value.code}: ${value.message}`;
  }
  return JSON.stringify(value);
}
