/** `application/vnd.clnrm.diff.v1+json` as a sheet: the merged tree of both sides, and why each row differs. */

import { Edits } from './edits.js';
import {
  Columns,
  type JSONRecord,
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
    notes: [...findingsOf(document), ...notesOf(document, diffs)],
    causes: edits.causes(rows.edits, nameOf),
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
  if (numberAt(total, 'diffs', 0) === 0) {
    // A sign of success would vouch for traces that nobody looked at.
    return 'nothing was compared';
  }
  const errors = findingsAt(document).filter(finding => textAt(finding, 'severity') === 'error').length;
  const all = numberAt(total, 'spans', 0);
  const here = numberAt(shown, 'spans', all);
  const states = Object.keys(STATES) as State[];
  return [
    errors > 0 ? `${STATES.error.sign} ${counted(errors, 'error')}` : '',
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

/** Findings that belong to no comparison; documents of earlier versions have none. */
function findingsAt(document: JSONRecord): readonly JSONRecord[] {
  return listAt(document, 'diagnostics').filter(isRecord);
}

/** What kept traces from being compared, one sentence each: code, place, what is wrong, what to do. */
function findingsOf(document: JSONRecord): readonly string[] {
  return findingsAt(document).map(finding => {
    const sign = textAt(finding, 'severity') === 'error' ? STATES.error.sign : '!';
    const line = numberAt(finding, 'line', 0);
    const file = textAt(finding, 'file');
    const place = [file && line > 0 ? `${file}:${line}` : file, textAt(finding, 'message')].filter(Boolean).join(': ');
    return [`${sign} ${textAt(finding, 'code')} ${place}`, textAt(finding, 'hint')].filter(Boolean).join('; ');
  });
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
  const [total, shown] = ['total', 'shown'].map(key => recordAt(document, key)) as [JSONRecord, JSONRecord];
  const hidden = numberAt(total, 'diffs', 0) - diffs.length;
  const hiddenCauses = numberAt(total, 'causes', 0) - numberAt(shown, 'causes', 0);
  const most = 8;
  return [
    ...notes.slice(0, most),
    ...(notes.length > most ? [`and ${counted(notes.length - most, 'further note')}`] : []),
    ...(hidden > 0 ? [`${counted(hidden, 'further comparison')} not shown`] : []),
    ...(hiddenCauses > 0 ? [`${counted(hiddenCauses, 'further cause')} not shown`] : [])
  ];
}
