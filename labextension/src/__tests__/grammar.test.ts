import assert from 'node:assert/strict';
import { test } from 'node:test';

import { StringStream } from '@codemirror/language';

import { isScenarioMagic, scenarioParser } from '../model/grammar.js';

/** Tokens of a text, as `kind:text`, those without a kind left out. */
function tokens(text: string, inCell = false): string[] {
  const parser = scenarioParser(inCell);
  const state = parser.startState();
  return text.split('\n').flatMap(line => {
    const found: string[] = [];
    if (line === '') {
      parser.blankLine(state);
    }
    for (const stream = new StringStream(line, 2, 2); !stream.eol(); stream.start = stream.pos) {
      const kind = parser.token(stream, state);
      assert.ok(stream.pos > stream.start, `no progress at ${stream.pos} of ${JSON.stringify(line)}`);
      if (kind !== null) {
        found.push(`${kind}:${stream.current()}`);
      }
    }
    return found;
  });
}

test('keys, values and headers are told apart', () => {
  assert.deepEqual(tokens('[[scenario]]\na.b = 1\nc = true # why'), [
    'heading:[[scenario]]',
    'propertyName:a',
    'punctuation:.',
    'propertyName:b',
    'operator:=',
    'number:1',
    'propertyName:c',
    'operator:=',
    'atom:true',
    'comment:# why'
  ]);
});

test('inline tables have keys, arrays over several lines have not', () => {
  assert.deepEqual(tokens('a = [\n  { b = 2 },\n  3,\n]\nc = 4').filter(each => !/bracket|punct|operator/.test(each)), [
    'propertyName:a',
    'propertyName:b',
    'number:2',
    'number:3',
    'propertyName:c',
    'number:4'
  ]);
});

test('a tag inside a string is a tag, and the string goes on behind it', () => {
  assert.deepEqual(tokens('a = "x {{ name | upper }} y"'), [
    'propertyName:a',
    'operator:=',
    'string:"',
    'string:x ',
    'meta:{{',
    'variableName:name',
    'builtin:| upper',
    'meta:}}',
    'string: y',
    'string:"'
  ]);
});

test('statements begin with a keyword and may span lines', () => {
  assert.deepEqual(tokens('{% for x\n in range(end=2) -%}\na = 1'), [
    'meta:{%',
    'keyword:for',
    'variableName:x',
    'keyword:in',
    'builtin:range',
    'operator:(',
    'variableName:end',
    'operator:=',
    'number:2',
    'operator:)',
    'meta:-%}',
    'propertyName:a',
    'operator:=',
    'number:1'
  ]);
});

test('tags work in comments and template comments span lines', () => {
  assert.deepEqual(tokens('# {{ a }} b\n{# x = 1\ny #}z = 2'), [
    'comment:# ',
    'meta:{{',
    'variableName:a',
    'meta:}}',
    'comment: b',
    'comment:{#',
    'comment: x = 1',
    'comment:y ',
    'comment:#}',
    'propertyName:z',
    'operator:=',
    'number:2'
  ]);
});

test('an unfinished string ends with its line, a multi-line one does not', () => {
  assert.equal(tokens('a = "x\nb = 1').at(-3), 'propertyName:b');
  assert.deepEqual(tokens("a = '''x\nb = 1\n'''\nc = 1").slice(-6), [
    "string:x",
    'string:b = 1',
    "string:'''",
    'propertyName:c',
    'operator:=',
    'number:1'
  ]);
});

test('an escaped quote does not end a string, in a literal string a backslash is nothing special', () => {
  assert.deepEqual(tokens('a = "x\\" y"').slice(2), ['string:"', 'string:x\\" y', 'string:"']);
  assert.deepEqual(tokens("a = 'x\\' # c").slice(2), ["string:'", 'string:x\\', "string:'", 'comment:# c']);
});

test('the first line of a cell is its magic, in files it is not', () => {
  assert.deepEqual(tokens('%%clnrm run --as r\na = 1', true)[0], 'meta:%%clnrm run --as r');
  assert.equal(tokens('a = 1\n%%clnrm run', true).includes('meta:%%clnrm run'), false);
  assert.equal(tokens('%%clnrm run', false).includes('meta:%%clnrm run'), false);
});

test('only cells of this magic are scenarios', () => {
  assert.deepEqual(
    ['%%clnrm', '%%clnrm run x', '%%clnrmx', '%clnrm run', ' %%clnrm', 'print()'].map(isScenarioMagic),
    [true, true, false, false, false, false]
  );
});

test('any text is read to its end', () => {
  // A fixed generator: a failure comes back with the same text.
  let seed = 20_261_122;
  const next = (below: number): number => (seed = (seed * 48_271) % 2_147_483_647) % below;
  const pieces = ['{{', '}}', '{%', '%}', '{#', '#}', '"', "'", '"""', "'''", '\\', '\n', ' ', 'a', '1', '=', '[', ']', '{', '}', ',', '#', '|', '\u{1f4a5}'];
  for (let round = 0; round < 2_000; round++) {
    const text = Array.from({ length: 30 }, () => pieces[next(pieces.length)]).join('');
    tokens(text, round % 2 === 0);
  }
});
