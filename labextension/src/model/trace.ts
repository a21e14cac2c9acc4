/** `application/vnd.clnrm.trace.v1+json` as a sheet. */

import { Columns, decoded, documentOf, listAt, numberAt, recordAt, wordsAt } from './reading.js';
import { type IFact, type IRow, type ISheet, barOf, counted, durationText, plainFact } from './sheet.js';
import { treeOf } from './tree.js';

export const TRACE_MIME = 'application/vnd.clnrm.trace.v1+json';

/**
 * @throws UnreadableError where the document is damaged or newer than this code.
 */
export function traceSheet(value: unknown): ISheet {
  const document = documentOf(value, 'trace');
  const columns = new Columns(recordAt(document, 'columns'));
  const words = {
    test: wordsAt(document, 'tests'),
    scenario: wordsAt(document, 'scenarios'),
    trace: wordsAt(document, 'trace_ids'),
    name: wordsAt(document, 'names'),
    service: wordsAt(document, 'services'),
    message: wordsAt(document, 'messages'),
    kind: wordsAt(document, 'kinds'),
    status: wordsAt(document, 'statuses')
  };
  const lengths = listAt(document, 'length_us').map(Number);
  const column = {
    id: columns.texts('span_id'),
    parent: columns.numbers('parent'),
    test: columns.numbers('test'),
    scenario: columns.numbers('scenario'),
    trace: columns.numbers('trace_id'),
    name: columns.numbers('name'),
    service: columns.numbers('service'),
    kind: columns.numbers('kind'),
    status: columns.numbers('status'),
    message: columns.numbers('message'),
    start: columns.numbers('start_us'),
    duration: columns.numbers('duration_us'),
    own: columns.numbers('own')
  };
  const count = column.id.length;
  const errorStatus = words.status.indexOf('error');
  const marked = Uint8Array.from(column.status, status => (status === errorStatus ? 1 : 0));
  const word = (of: keyof typeof words, row: number): string => words[of][column[of][row] ?? -1] ?? '';
  const time = (of: 'start' | 'duration', row: number): number => column[of][row] ?? -1;

  return {
    title: 'Trace',
    heading: headingOf(numberAt(document, 'total', count), count, marked, words),
    notes: [],
    causes: [],
    tree: treeOf(column.parent),
    marked,
    markedName: 'errors',
    folds: false,
    row: (row): IRow => ({
      state: marked[row] === 1 ? 'error' : 'plain',
      name: word('name', row),
      service: word('service', row),
      duration: durationText(time('duration', row)),
      bar: barOf(time('start', row), time('duration', row), lengths[column.test[row] ?? -1] ?? 0)
    }),
    facts: (row): readonly IFact[] =>
      [
        plainFact('Name', word('name', row)),
        plainFact('Service', word('service', row)),
        plainFact('Kind', word('kind', row)),
        plainFact('Status', [word('status', row), word('message', row)].filter(Boolean).join(': ')),
        plainFact('Start', time('start', row) < 0 ? '' : `+${durationText(time('start', row))}`),
        plainFact('Duration', durationText(time('duration', row))),
        plainFact('Test', word('test', row)),
        plainFact('Scenario', word('scenario', row)),
        plainFact('Made by', column.own[row] === 1 ? 'clnrm_nb itself' : ''),
        plainFact('Span id', decoded(column.id[row] ?? '')),
        plainFact('Trace id', word('trace', row))
      ].filter(fact => fact.now !== '')
  };
}

function headingOf(
  total: number,
  shown: number,
  marked: Uint8Array,
  words: { readonly service: readonly string[]; readonly test: readonly string[] }
): string {
  const errors = marked.reduce((sum, mark) => sum + mark, 0);
  return [
    total > shown ? `${shown.toLocaleString('en-US')} of ${counted(total, 'span')}` : counted(total, 'span'),
    counted(words.service.length, 'service'),
    words.test.length > 1 ? counted(words.test.length, 'test') : '',
    errors > 0 ? counted(errors, 'error') : ''
  ]
    .filter(Boolean)
    .join(' · ');
}
