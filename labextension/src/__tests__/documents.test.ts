import assert from 'node:assert/strict';
import { test } from 'node:test';

import { diffSheet } from '../model/diff.js';
import { valueText } from '../model/edits.js';
import { UnreadableError } from '../model/reading.js';
import type { IFact } from '../model/sheet.js';
import { durationText } from '../model/sheet.js';
import { traceSheet } from '../model/trace.js';

function traceDocument(changes: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    version: 1,
    kind: 'trace',
    total: 40,
    shown: 3,
    tests: ['shop.clnrm.toml'],
    origin: [null],
    length_us: [1_000],
    scenarios: [null, 'buys'],
    trace_ids: ['0af7'],
    names: ['GET /', '<b>query</b>'],
    services: ['web', 'db'],
    messages: ['', 'gone away'],
    kinds: ['internal', 'server'],
    statuses: ['unset', 'ok', 'error'],
    columns: {
      span_id: 'a1 b%202 c3',
      parent: '-1 0 0',
      test: '0 0 0',
      scenario: '1 1 0',
      trace_id: '0 0 0',
      name: '0 1 1',
      service: '0 1 1',
      kind: '1 0 0',
      status: '0 2 0',
      message: '0 1 0',
      start_us: '0 250 -1',
      duration_us: '1000 500 -1',
      own: '0 0 1'
    },
    ...changes
  };
}

function diffDocument(): Record<string, unknown> {
  return {
    version: 1,
    kind: 'diff',
    total: { diffs: 1, spans: 9, edits: 9, causes: 3 },
    shown: { diffs: 1, spans: 3, edits: 3, causes: 2 },
    spans: { same: 7, changed: 1, added: 0, missing: 1, moved: 0, renamed: 0 },
    diffs: [{ id: 'a::b', status: 'incomplete', message: 'spans were dropped', length_us: 100, baseline_length_us: 200, notes: [] }],
    statuses: ['same', 'changed', 'added', 'missing', 'moved', 'renamed'],
    ops: ['attr~', 'attr+', 'delete'],
    reviews: ['pending', 'accepted'],
    names: ['root', 'query'],
    services: ['web'],
    paths: ['root', 'root/query'],
    keys: ['http.status'],
    values: ['200', 200, null, { name: 'query', service: 'web', spans: 1, digest: 'x' }],
    rules: ['label', 'r7'],
    reasons: ['same name'],
    messages: ['a label that is left out', 'http.status is a number now'],
    rows: {
      diff: '0 0 0',
      status: '0 1 3',
      depth: '0 1 1',
      parent: '-1 0 0',
      name: '0 1 -1',
      baseline_name: '0 1 1',
      service: '0 0 0',
      start_us: '0 50 -1',
      duration_us: '100 50 -1',
      baseline_start_us: '0 50 100',
      baseline_duration_us: '200 50 50',
      left_out: '6 0 0',
      edits: '- 0,1 2'
    },
    causes: { diff: '0 0', cause_id: 'c1 c2', message: '0 1', edits: '1 8', cost: '2 1600', counted: '0 1' },
    edits: {
      cause: '1 0 1',
      op: '0 1 2',
      key: '0 0 -1',
      baseline: '0 2 3',
      current: '1 1 2',
      path: '1 1 -1',
      baseline_path: '1 1 1',
      counted: '1 0 1',
      rule: '0 1 0',
      reason: '0 0 0',
      review: '-1 1 -1'
    }
  };
}

function refuses(make: () => unknown, sentence: RegExp): void {
  assert.throws(make, error => error instanceof UnreadableError && sentence.test(error.message));
}

function factOf(facts: readonly IFact[], label: string): IFact | undefined {
  return facts.find(fact => fact.label === label);
}

test('a trace shows names, services, times and errors of its rows', () => {
  const sheet = traceSheet(traceDocument());

  assert.equal(sheet.heading, '3 of 40 spans · 2 services · 1 error');
  assert.deepEqual([...sheet.tree.parents], [-1, 0, 0]);
  assert.deepEqual(sheet.row(1), {
    state: 'error',
    name: '<b>query</b>',
    service: 'db',
    duration: '500 µs',
    bar: { left: 0.25, width: 0.5 }
  });
  assert.equal(sheet.row(2).bar, null);
  assert.equal(factOf(sheet.facts(1), 'Status')?.now, 'error: gone away');
  assert.equal(factOf(sheet.facts(1), 'Span id')?.now, 'b 2');
  assert.equal(factOf(sheet.facts(2), 'Scenario'), undefined);
});

test('an empty trace is a sheet without rows', () => {
  const empty = Object.fromEntries(
    Object.keys(traceDocument().columns as Record<string, string>).map(name => [name, ''])
  );

  assert.equal(traceSheet(traceDocument({ columns: empty, total: 0 })).tree.count, 0);
});

test('a document of a newer version is refused in one sentence that says what to do', () => {
  refuses(() => traceSheet(traceDocument({ version: 2 })), /newer clnrm_nb \(document version 2\): update/);
  refuses(() => diffSheet({ version: 3, kind: 'diff' }), /newer clnrm_nb/);
});

test('damaged documents are refused, each with what is wrong', () => {
  const columns = traceDocument().columns as Record<string, string>;

  refuses(() => traceSheet(null), /no trace document/);
  refuses(() => traceSheet(traceDocument({ kind: 'diff' })), /no trace document/);
  refuses(() => traceSheet(traceDocument({ columns: [] })), /"columns" is missing/);
  refuses(() => traceSheet(traceDocument({ names: 3 })), /"names" is no list/);
  refuses(() => traceSheet(traceDocument({ columns: { ...columns, own: '0 0' } })), /another length/);
  refuses(() => traceSheet(traceDocument({ columns: { ...columns, own: '0 0 x' } })), /else than numbers/);
});

test('numbers that point nowhere show nothing instead of failing', () => {
  const columns = traceDocument().columns as Record<string, string>;
  const sheet = traceSheet(traceDocument({ columns: { ...columns, name: '7 -1 0', test: '9 9 9' } }));

  assert.equal(sheet.row(0).name, '');
  assert.equal(sheet.row(0).bar, null);
});

test('a diff shows attributes old and new, typed as in JSON', () => {
  const sheet = diffSheet(diffDocument());

  const [changed, added] = sheet.facts(1);

  assert.deepEqual(changed, {
    label: 'attribute http.status',
    state: 'changed',
    before: '"200"',
    now: '200',
    note: 'same name'
  });
  assert.deepEqual([added?.before, added?.now], [null, '200']);
  assert.equal(added?.note, 'does not count (r7) · accepted · same name');
});

test('a diff of nothing says what kept it from being made, and shows no sign of success', () => {
  const empty = (columns: unknown): Record<string, string> =>
    Object.fromEntries(Object.keys(columns as Record<string, string>).map(name => [name, '']));
  const document = diffDocument();
  const none = { diffs: 0, spans: 0, edits: 0, causes: 0 };
  const sheet = diffSheet({
    ...document,
    total: none,
    shown: none,
    diffs: [],
    rows: empty(document.rows),
    edits: empty(document.edits),
    causes: empty(document.causes),
    diagnostics: [
      { code: 'CLN001', severity: 'error', message: 'no such path', file: 'nowhere', line: null, hint: 'check the path' }
    ]
  });

  assert.equal(sheet.heading, 'nothing was compared');
  assert.deepEqual(sheet.notes, ['‼ CLN001 nowhere: no such path; check the path']);
});

test('errors beside comparisons come first in the heading and in the notes', () => {
  const diagnostics = [{ code: 'CLN101', severity: 'error', message: 'no TOML', file: 'b.clnrm.toml', line: 3 }];
  const sheet = diffSheet({ ...diffDocument(), diagnostics });

  assert.match(sheet.heading, /^‼ 1 error · /);
  assert.equal(sheet.notes[0], '‼ CLN101 b.clnrm.toml:3: no TOML');
});

test('a span that went is a row with its name, time and place in the baseline', () => {
  const sheet = diffSheet(diffDocument());

  assert.deepEqual(sheet.row(2), {
    state: 'missing',
    name: 'query',
    service: 'web',
    duration: '50 µs',
    bar: { left: 0.5, width: 0.25 }
  });
  const [deleted] = sheet.facts(2);
  assert.deepEqual([deleted?.before, deleted?.now], ['query [web], 1 span', null]);
});

test('a diff says what it counts, what it leaves out and why it is no plain change', () => {
  const sheet = diffSheet(diffDocument());

  assert.equal(sheet.heading, '~ 1 changed · − 1 missing · ✓ 7 same · showing 3 of 9 spans · 9 edits');
  assert.deepEqual(sheet.notes, ['a::b: incomplete, spans were dropped', '1 further cause not shown']);
  assert.equal(sheet.folds, true);
  assert.equal(factOf(sheet.facts(0), 'Not shown below')?.now, '6 spans');
  assert.equal(factOf(sheet.facts(0), 'Duration')?.now, '100 µs (baseline 200 µs)');
});

test('a cause says what it is and how large, those that count first, and leads to its rows', () => {
  const { causes } = diffSheet(diffDocument());

  assert.deepEqual(
    causes.map(cause => [cause.sentence, cause.size, cause.isCounted, cause.hidden]),
    [
      ['http.status is a number now', '8 edits, cost 1,600', true, 6],
      ['a label that is left out', '1 edit, cost 2', false, 0]
    ]
  );
  assert.deepEqual(
    causes[0]?.members().map(({ row, place, fact }) => [row, place, fact.label, fact.before, fact.now]),
    [
      [1, 'query', 'attribute http.status', '"200"', '200'],
      [2, 'query', 'subtree', 'query [web], 1 span', null]
    ]
  );
});

test('an edit whose row is not shown stands under its cause with its path', () => {
  const document = diffDocument();
  const rows = { ...(document.rows as Record<string, string>), edits: '- 0,1 -' };

  const [, deleted] = diffSheet({ ...document, rows }).causes[0]?.members() ?? [];

  assert.deepEqual([deleted?.row, deleted?.place], [-1, 'root/query']);
});

test('words of other programs for states and operations are shown as they are', () => {
  const document = diffDocument();
  const sheet = diffSheet({ ...document, statuses: ['same', 'constructor', 'added', 'missing'], ops: ['constructor', 'attr+', 'delete'] });

  assert.equal(sheet.row(1).state, 'changed');
  assert.equal(sheet.facts(1)[0]?.label, 'constructor http.status');
});

test('a status is shown in words', () => {
  assert.equal(valueText({ code: 'error', message: 'gone' }), 'error: gone');
  assert.equal(valueText({ code: 'unset', message: '' }), 'unset');
});

test('values of different types look different', () => {
  assert.deepEqual([valueText('1'), valueText(1), valueText(true), valueText(null)], ['"1"', '1', 'true', 'null']);
});

test('durations have the unit that people read', () => {
  assert.deepEqual(
    [-1, 0, 999, 1_234, 56_789, 1_500_000, 61_000_000].map(durationText),
    ['', '0 µs', '999 µs', '1.23 ms', '56.8 ms', '1.50 s', '61.0 s']
  );
});
