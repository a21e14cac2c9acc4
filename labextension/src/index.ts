/** The plugins of this package. Each stands alone: one that cannot start takes no other with it. */

import type { JupyterFrontEndPlugin } from '@jupyterlab/application';

import { language, magicCells } from './language.js';
import { fileType, newScenario } from './scenario.js';

const plugins: JupyterFrontEndPlugin<void>[] = [fileType, newScenario, language, magicCells];

export default plugins;
