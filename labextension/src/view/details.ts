/** The facts of one row as a table: what it is, and old → new where it differs. */

import { type IFact, STATES } from '../model/sheet.js';
import { element } from './element.js';

/** Fill a node with the facts, in place of what it held. */
export function showFacts(node: HTMLElement, title: string, facts: readonly IFact[]): void {
  const rows = facts.map(fact => {
    const { sign, word } = STATES[fact.state];
    const mark = element('td', 'clnrm-Fact-sign', sign);
    if (word) {
      mark.append(element('span', 'clnrm-hidden', word));
    }
    const label = element('th', 'clnrm-Fact-label', fact.label);
    label.scope = 'row';
    const value = element('td', 'clnrm-Fact-value');
    value.append(...valueNodes(fact));
    const row = element('tr', 'clnrm-Fact');
    row.dataset.state = fact.state;
    row.append(mark, label, value);
    return row;
  });
  const caption = element('caption', 'clnrm-Facts-title', title);
  caption.dir = 'auto';
  const body = element('tbody', '');
  body.append(...rows);
  const table = element('table', 'clnrm-Facts');
  table.append(caption, body);
  node.replaceChildren(table);
}

/** Old → new, or the one side there is, and the note below it. */
export function valueNodes(fact: IFact): Node[] {
  const nodes: Node[] = [];
  if (fact.before !== null) {
    nodes.push(side('del', fact.before));
  }
  if (fact.before !== null && fact.now !== null) {
    nodes.push(element('span', 'clnrm-Fact-arrow', ' → '));
  }
  if (fact.now !== null) {
    nodes.push(side(fact.state === 'plain' ? 'span' : 'ins', fact.now));
  }
  if (fact.note !== '') {
    nodes.push(element('div', 'clnrm-Fact-note', fact.note));
  }
  return nodes;
}

function side(tag: 'del' | 'ins' | 'span', text: string): HTMLElement {
  const node = element(tag, 'clnrm-Fact-text', text);
  node.dir = 'auto';
  return node;
}
