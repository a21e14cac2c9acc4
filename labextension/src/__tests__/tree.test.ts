import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Outline, treeOf } from '../model/tree.js';

/** Lines as text: `2` a row, `3*4` a fold of four spans from row 3 on. */
function lines(outline: Outline): string {
  return Array.from({ length: outline.length }, (_, index) => {
    const line = outline.at(index);
    return line.kind === 'row' ? String(line.row) : `${line.row}*${line.count}`;
  }).join(' ');
}

// 0 ─ 1 ─ 2        6 (another root)
//   ├ 3 ─ 4
//   └ 5
const PARENTS = [-1, 0, 1, 0, 3, 0, -1];

function marks(...rows: number[]): Uint8Array {
  return Uint8Array.from(PARENTS, (_, row) => (rows.includes(row) ? 1 : 0));
}

test('levels, ends and places follow the parents', () => {
  const tree = treeOf(PARENTS);

  assert.deepEqual([...tree.levels], [0, 1, 2, 1, 2, 1, 0]);
  assert.deepEqual([...tree.ends], [6, 3, 3, 5, 5, 6, 7]);
  assert.deepEqual([...tree.places], [1, 1, 1, 2, 1, 3, 2]);
  assert.deepEqual([...tree.setSizes], [2, 3, 1, 3, 1, 3, 2]);
});

test('a parent that does not stand above its row makes it a root', () => {
  const tree = treeOf([1, 5, 0, -7, 2, NaN, 4.5]);

  assert.deepEqual([...tree.parents], [-1, -1, -1, -1, -1, -1, -1]);
});

test('a chain of 100,000 spans is a tree like any other', () => {
  const tree = treeOf(Int32Array.from({ length: 100_000 }, (_, row) => row - 1));

  assert.equal(tree.levels[99_999], 99_999);
  assert.equal(tree.ends[0], 100_000);
  assert.equal(new Outline(tree, new Uint8Array(100_000), true).length, 1);
});

test('neighbours without a mark on or below them are one line', () => {
  const outline = new Outline(treeOf(PARENTS), marks(5), true);

  assert.equal(lines(outline), '0 1*4 5 6');
});

test('a single unmarked row is not hidden behind a line of its own', () => {
  const outline = new Outline(treeOf([-1, 0, 0]), Uint8Array.of(0, 0, 1), true);

  assert.equal(lines(outline), '0 1 2');
});

test('an opened fold shows all below it, with no fold inside', () => {
  const outline = new Outline(treeOf(PARENTS), marks(5), true);

  outline.unfold(1);

  assert.equal(lines(outline), '0 1 2 3 4 5 6');
});

test('a collapsed row hides what is below it', () => {
  const outline = new Outline(treeOf(PARENTS), marks(), false);

  outline.setExpanded(1, false);
  outline.setExpanded(3, false);

  assert.equal(lines(outline), '0 1 3 5 6');
});

test('the line of a hidden row is the one that hides it', () => {
  const outline = new Outline(treeOf(PARENTS), marks(5), true);
  outline.setExpanded(0, true);

  assert.deepEqual([0, 1, 4, 5, 6].map(row => outline.indexOf(row)), [0, 1, 1, 2, 3]);
});

test('revealing a row opens its fold and what is collapsed above it', () => {
  const outline = new Outline(treeOf(PARENTS), marks(5), true);
  outline.setExpanded(3, false);
  outline.setExpanded(0, false);

  outline.reveal(4);

  assert.deepEqual(outline.at(outline.indexOf(4)), { kind: 'row', row: 4 });
});

test('marks are visited in both directions and end at the ends', () => {
  const outline = new Outline(treeOf(PARENTS), marks(2, 5), true);

  assert.deepEqual([outline.nextMarked(0, 1), outline.nextMarked(2, 1), outline.nextMarked(5, 1)], [2, 5, -1]);
  assert.deepEqual([outline.nextMarked(6, -1), outline.nextMarked(2, -1)], [5, -1]);
});
