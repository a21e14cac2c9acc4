/** Highlighting: scenario files, and cells that begin with `%%clnrm`. */

import { LanguageSupport, StreamLanguage } from '@codemirror/language';
import { Compartment, EditorState, type Extension, Prec, type Text } from '@codemirror/state';
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import type { CodeEditor } from '@jupyterlab/codeeditor';
import {
  EditorExtensionRegistry,
  IEditorExtensionRegistry,
  IEditorLanguageRegistry
} from '@jupyterlab/codemirror';

import { type IGrammarState, isScenarioMagic, scenarioParser } from './model/grammar.js';
import { NAMESPACE, SCENARIO_FILE, SCENARIO_MIME } from './tokens.js';

/** Teaches editors the language of scenario files. */
export const language: JupyterFrontEndPlugin<void> = {
  id: `${NAMESPACE}:language`,
  description: 'Highlights clnrm scenarios: TOML with template tags.',
  autoStart: true,
  requires: [IEditorLanguageRegistry],
  activate: (_app: JupyterFrontEnd, languages: IEditorLanguageRegistry) => {
    languages.addLanguage({
      name: 'clnrm',
      displayName: 'Clnrm scenario',
      mime: SCENARIO_MIME,
      // Only the last suffix of a name counts among extensions; the pattern sees the whole name.
      extensions: [],
      filename: SCENARIO_FILE,
      load: () => Promise.resolve(new LanguageSupport(StreamLanguage.define<IGrammarState>(scenarioParser(false))))
    });
  }
};

/** Gives cells that begin with `%%clnrm` the same highlighting, whatever the kernel's language. */
export const magicCells: JupyterFrontEndPlugin<void> = {
  id: `${NAMESPACE}:magic-cells`,
  description: 'Highlights the body of %%clnrm cells.',
  autoStart: true,
  requires: [IEditorExtensionRegistry],
  activate: (_app: JupyterFrontEnd, extensions: IEditorExtensionRegistry) => {
    extensions.addExtension({
      name: `${NAMESPACE}:magic-cells`,
      factory: options =>
        isCodeCell(options.model)
          ? EditorExtensionRegistry.createImmutableExtension(magicHighlighting(options.model.sharedModel.getSource()))
          : null
    });
  }
};

/** A cell's model is an editor's model that knows its type. */
function isCodeCell(model: CodeEditor.IModel): boolean {
  return 'type' in model && model.type === 'code';
}

/** The language of the cell, decided anew only when the first line has changed. */
function magicHighlighting(source: string): Extension {
  const scenario = StreamLanguage.define<IGrammarState>(scenarioParser(true));
  const compartment = new Compartment();
  const of = (isMagic: boolean): Extension => (isMagic ? scenario : []);
  return [
    // The first of several languages wins, so this one has to stand before the kernel's.
    Prec.highest(compartment.of(of(isScenarioMagic(source.split('\n', 1)[0] ?? '')))),
    EditorState.transactionExtender.of(transaction => {
      if (!transaction.docChanged || !touchesFirstLine(transaction.startState.doc, transaction.changes)) {
        return null;
      }
      const isMagic = isScenarioMagic(transaction.newDoc.line(1).text);
      const wasMagic = compartment.get(transaction.startState) === scenario;
      return isMagic === wasMagic ? null : { effects: compartment.reconfigure(of(isMagic)) };
    })
  ];
}

function touchesFirstLine(
  doc: Text,
  changes: { touchesRange(from: number, to?: number): boolean | 'cover' }
): boolean {
  return changes.touchesRange(0, doc.line(1).to) !== false;
}
