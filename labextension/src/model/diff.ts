/** `application/vnd.clnrm.diff.v1+json` as a sheet: the merged tree of both sides, and why each row differs. */

import {
  Columns,
  type JSONRecord,
  decoded,
  documentOf,
  isRecord,
  listAt,
  numberAt,
  recordAt,
  textAt,
  wordsAt
} from './reading.js';
import {
  type IFact,
  type IRow,
  type ISheet,
  STATES,
  type State,
  barOf,
  counted,
  durationText,
  isState,
  plainFact
} from './sheet.js';
import { treeOf } from './tree.js';

export const DIFF_MIME = 'application/vnd.clnrm.diff.v1+json';

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

/**
 * @throws UnreadableError where the document is damaged or newer than this code.
 */
export function diffSheet(value: unknown): ISheet {
  const document = documentOf(value, 'diff');
  const rows = rowsOf(document);
  const edits = new Edits(document);
  const statuses = wordsAt(document, 'statuses').map(word => (isState(word) ? word : 'changed'));
  const states = Array.from(rows.status, status => statuses[status] ?? 'changed');
  const names = wordsAt(document, 'names');
  const services = wordsAt(document, 'services');
  const diffs = listAt(document, 'diffs').map(each => (isRecord(each) ? each : {}));
  const marked = Uint8Array.from(states, state => (state === 'same' ? 0 : 1));
  const at = (column: keyof typeof rows, row: number): number => Number(rows[column][row] ?? -1);
  const diffOf = (row: number): JSONRecord => diffs[at('diff', row)] ?? {};
  const nameOf = (row: number): string => {
    const [before, now] = [names[at('baselineName', row)], names[at('name', row)]];
    return before !== undefined && now !== undefined && before !== now ? `${before} → ${now}` : (now ?? before ?? '');
  };

  return {
    title: 'Diff',
    heading: headingOf(document),
    notes: notesOf(document, diffs),
    tree: treeOf(rows.parent),
    marked,
    markedName: 'differences',
    folds: marked.includes(1),
    row: (row): IRow => {
      const gone = states[row] === 'missing';
      const [start, duration] = gone ? (['baselineStart', 'baselineDuration'] as const) : (['start', 'duration'] as const);
      const length = numberAt(diffOf(row), gone ? 'baseline_length_us' : 'length_us', 0);
      return {
        state: states[row] ?? 'same',
        name: nameOf(row),
        service: services[at('service', row)] ?? '',
        duration: durationText(at(duration, row)),
        bar: barOf(at(start, row), at(duration, row), length)
      };
    },
    facts: (row): readonly IFact[] =>
      [
        ...edits.facts(rows.edits[row] ?? '-'),
        durationFact(at('baselineDuration', row), at('duration', row)),
        plainFact('Name', nameOf(row)),
        plainFact('Service', services[at('service', row)] ?? ''),
        plainFact('Compared', textAt(diffOf(row), 'id')),
        plainFact('Not shown below', at('leftOut', row) > 0 ? counted(at('leftOut', row), 'span') : '')
      ].filter(fact => fact.state !== 'plain' || fact.now !== '')
  };
}

/** The columns of the rows; a list of edits is read when its row is looked at. */
function rowsOf(document: JSONRecord): Readonly<Record<| 'diff'
    | 'status'
    | 'parent'
    | 'name'
    | 'baselineName'
    | 'service'
    | 'start'
    | 'duration'
    | 'baselineStart'
    | 'baselineDuration'
    | 'leftOut', Float64Array>> & { readonly edits: readonly string[] } {
  const columns = new Columns(recordAt(document, 'rows'));
  return {
    diff: columns.numbers('diff'),
    status: columns.numbers('status'),
    parent: columns.numbers('parent'),
    name: columns.numbers('name'),
    baselineName: columns.numbers('baseline_name'),
    service: columns.numbers('service'),
    start: columns.numbers('start_us'),
    duration: columns.numbers('duration_us'),
    baselineStart: columns.numbers('baseline_start_us'),
    baselineDuration: columns.numbers('baseline_duration_us'),
    leftOut: columns.numbers('left_out'),
    edits: columns.texts('edits')
  };
}

/** The edits of a diff, as facts of the rows they concern. */
class Edits {
  constructor(document: JSONRecord) {
    const columns = new Columns(recordAt(document, 'edits'));
    const names = ['op', 'key', 'baseline', 'current', 'path', 'baseline_path', 'counted', 'rule', 'reason', 'review'];
    this._columns = new Map(names.map(name => [name, columns.numbers(name)]));
    this._words = new Map(
      ['ops', 'keys', 'paths', 'rules', 'reasons', 'reviews'].map(name => [name, wordsAt(document, name)])
    );
    this._values = listAt(document, 'values');
  }

  /** Facts of the edits named as `3,7`, or `-` for none. */
  facts(packed: string): readonly IFact[] {
    const indices = packed === '-' ? [] : decoded(packed).split(',').map(Number);
    return indices.filter(index => index >= 0 && index < this._length).map(index => this._fact(index));
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

function durationFact(before: number, now: number): IFact {
  const [old, current] = [durationText(before), durationText(now)];
  const text = old !== '' && current !== '' && old !== current ? `${current} (baseline ${old})` : current || old;
  return plainFact('Duration', text);
}

function headingOf(document: JSONRecord): string {
  const [total, shown, spans] = ['total', 'shown', 'spans'].map(key => recordAt(document, key)) as [
    JSONRecord,
    JSONRecord,
    JSONRecord
  ];
  const all = numberAt(total, 'spans', 0);
  const here = numberAt(shown, 'spans', all);
  const states = Object.keys(STATES) as State[];
  return [
    ...states
      .filter(state => state !== 'same' && numberAt(spans, state, 0) > 0)
      .map(state => `${STATES[state].sign} ${numberAt(spans, state, 0).toLocaleString('en-US')} ${STATES[state].word}`),
    `${STATES.same.sign} ${numberAt(spans, 'same', 0).toLocaleString('en-US')} same`,
    here < all ? `showing ${here.toLocaleString('en-US')} of ${counted(all, 'span')}` : '',
    counted(numberAt(total, 'edits', 0), 'edit')
  ]
    .filter(Boolean)
    .join(' · ');
}

/** What keeps a comparison from being a plain "same" or "changed", one sentence each, a few of them. */
function notesOf(document: JSONRecord, diffs: readonly JSONRecord[]): readonly string[] {
  const notes = diffs.flatMap(diff => {
    const id = textAt(diff, 'id');
    const status = textAt(diff, 'status');
    const message = textAt(diff, 'message');
    const isPlain = status === 'same' || status === 'changed';
    return [
      // Messages of clnrm name the comparison themselves.
      ...(isPlain ? [] : [message.startsWith(id) ? message : [`${id}: ${status}`, message].filter(Boolean).join(', ')]),
      ...wordsAt(diff, 'notes').map(note => `${id}: ${note}`),
      ...(diff.composed === true ? [`${id}: the baseline was put together by partial accepts`] : [])
    ];
  });
  const hidden = numberAt(recordAt(document, 'total'), 'diffs', 0) - diffs.length;
  const most = 8;
  return [
    ...notes.slice(0, most),
    ...(notes.length > most ? [`and ${counted(notes.length - most, 'further note')}`] : []),
    ...(hidden > 0 ? [`${counted(hidden, 'further comparison')} not shown`] : [])
  ];
}
