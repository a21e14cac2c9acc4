/** What the differences come from: one line a cause, its edits below it on demand, each a way to its row. */

import type { ICause, IMember } from '../model/sheet.js';
import { STATES, counted } from '../model/sheet.js';
import { valueNodes } from './details.js';
import { element } from './element.js';

/** More than a person reads in one go; the rows below hold the rest all the same. */
const MOST_CAUSES = 20;
const MOST_MEMBERS = 50;
const TITLE = 'Causes of the differences';

/**
 * A list of causes.
 *
 * @param onMember - called with the row of an edit that was chosen.
 * @param signal - ends all listeners.
 */
export function causesNode(
  causes: readonly ICause[],
  onMember: (row: number) => void,
  signal: AbortSignal
): HTMLElement {
  const node = element('ul', 'clnrm-Causes');
  node.setAttribute('aria-label', TITLE);
  node.append(
    ...causes.slice(0, MOST_CAUSES).map(cause => causeNode(cause, onMember, signal)),
    ...furtherNode(causes.length - MOST_CAUSES, 'cause')
  );
  return node;
}

function causeNode(cause: ICause, onMember: (row: number) => void, signal: AbortSignal): HTMLElement {
  const sentence = element('span', 'clnrm-Cause-sentence', cause.sentence);
  sentence.dir = 'auto';
  const size = cause.isCounted ? cause.size : `${cause.size}, does not count`;
  const summary = element('summary', 'clnrm-Cause-summary');
  summary.append(sentence, ' ', element('span', 'clnrm-Cause-size', size));
  const details = element('details', 'clnrm-Cause');
  details.append(summary);
  // Nodes for what nobody looks at would be the most of the page.
  details.addEventListener('toggle', () => details.append(membersNode(cause, onMember)), { signal, once: true });
  const item = element('li', '');
  item.append(details);
  return item;
}

function membersNode(cause: ICause, onMember: (row: number) => void): HTMLElement {
  const members = cause.members();
  const node = element('ul', 'clnrm-Cause-members');
  node.append(
    ...members.slice(0, MOST_MEMBERS).map(member => memberNode(member, onMember)),
    ...furtherNode(Math.max(members.length - MOST_MEMBERS, 0) + cause.hidden, 'edit')
  );
  return node;
}

function memberNode(member: IMember, onMember: (row: number) => void): HTMLElement {
  const { fact } = member;
  const item = element('li', 'clnrm-Fact');
  item.dataset.state = fact.state;
  const mark = element('span', 'clnrm-Fact-sign', STATES[fact.state].sign);
  mark.setAttribute('aria-hidden', 'true');
  item.append(mark, placeNode(member, onMember), element('span', '', fact.label), ...valueNodes({ ...fact, note: '' }));
  return item;
}

/** A button where the row is here, else its path. */
function placeNode({ row, place }: IMember, onMember: (row: number) => void): HTMLElement {
  const node = row < 0 ? element('span', 'clnrm-Cause-place', place) : element('button', 'clnrm-Cause-place', place);
  node.dir = 'auto';
  if (node instanceof HTMLButtonElement) {
    node.type = 'button';
    // It goes with its node, which nothing outlives.
    node.onclick = () => onMember(row);
  }
  return node;
}

function furtherNode(count: number, noun: string): HTMLElement[] {
  return count > 0 ? [element('li', 'clnrm-Cause-further', `and ${counted(count, `further ${noun}`)}`)] : [];
}
