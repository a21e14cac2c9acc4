/** Scenario files in the file browser, the launcher and the palette. */

import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { ILauncher } from '@jupyterlab/launcher';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { LabIcon } from '@jupyterlab/ui-components';

import { scenarioTemplate } from './model/newscenario.js';
import { COMMANDS, NAMESPACE, SCENARIO_MIME } from './tokens.js';

/** A flask: what is tested stands under glass. The classes take the theme's colours. */
const icon = new LabIcon({
  name: 'clnrm:scenario',
  svgstr:
    '<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 22 22"><g class="jp-icon3" fill="#616161">' +
    '<path d="M8 2h6v1.6h-1V9l5 8.4A1.8 1.8 0 0 1 16.4 20H5.6A1.8 1.8 0 0 1 4 17.4L9 9V3.6H8zm2.6 1.6v5.8L8.2 13.4h5.6' +
    'l-2.4-4V3.6z"/></g></svg>'
});

/** Makes `.clnrm.toml` and `.clnrm.toml.tera` a file type of their own. */
export const fileType: JupyterFrontEndPlugin<void> = {
  id: `${NAMESPACE}:file-type`,
  description: 'The file type of clnrm scenarios.',
  autoStart: true,
  optional: [ITranslator],
  activate: (app: JupyterFrontEnd, translator: ITranslator | null) => {
    const trans = (translator ?? nullTranslator).load('clnrm_nb');
    app.docRegistry.addFileType({
      name: 'clnrm-scenario',
      displayName: trans.__('Clnrm scenario'),
      extensions: ['.clnrm.toml', '.clnrm.toml.tera'],
      mimeTypes: [SCENARIO_MIME],
      contentType: 'file',
      fileFormat: 'text',
      icon
    });
  }
};

/** "New scenario" in the palette and, where there is one, the launcher. */
export const newScenario: JupyterFrontEndPlugin<void> = {
  id: `${NAMESPACE}:new-scenario`,
  description: 'A command that makes a scenario file and opens it.',
  autoStart: true,
  optional: [ICommandPalette, ILauncher, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    palette: ICommandPalette | null,
    launcher: ILauncher | null,
    translator: ITranslator | null
  ) => {
    const trans = (translator ?? nullTranslator).load('clnrm_nb');
    app.commands.addCommand(COMMANDS.newScenario, {
      label: args => (args.isLauncher ? trans.__('Scenario') : trans.__('New Clnrm Scenario')),
      caption: trans.__('Make a scenario file (.clnrm.toml.tera) and open it'),
      icon: args => (args.isPalette ? undefined : icon),
      describedBy: {
        args: {
          type: 'object',
          properties: {
            cwd: { type: 'string', description: trans.__('Directory to make the file in') },
            isLauncher: { type: 'boolean', description: trans.__('Whether the launcher shows this command') },
            isPalette: { type: 'boolean', description: trans.__('Whether the palette shows this command') }
          }
        }
      },
      execute: async args => {
        const { contents } = app.serviceManager;
        const path = typeof args.cwd === 'string' ? args.cwd : '';
        const made = await contents.newUntitled({ path, type: 'file', ext: '.clnrm.toml.tera' });
        await contents.save(made.path, { type: 'file', format: 'text', content: scenarioTemplate() });
        await app.commands.execute('docmanager:open', { path: made.path });
      }
    });
    const category = trans.__('Clnrm');
    palette?.addItem({ command: COMMANDS.newScenario, category, args: { isPalette: true } });
    launcher?.add({ command: COMMANDS.newScenario, category: trans.__('Other'), args: { isLauncher: true } });
  }
};
