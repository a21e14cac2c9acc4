/**
 * Renderers of the documents that a notebook keeps of a trace and of a diff.
 *
 * They need no kernel and run nothing of the document, so Lab shows them in notebooks that are not trusted too.
 */

import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import { Widget } from '@lumino/widgets';

import { DIFF_MIME, diffSheet } from './model/diff.js';
import { UnreadableError } from './model/reading.js';
import type { ISheet } from './model/sheet.js';
import { TRACE_MIME, traceSheet } from './model/trace.js';
import { SheetView, refusalNode } from './view/sheetview.js';

type Reader = (value: unknown) => ISheet;

/** Before Lab's HTML (50): the same output carries an HTML form for viewers without this extension. */
const RANK = 40;

/** One output area's document. */
class DocumentRenderer extends Widget implements IRenderMime.IRenderer {
  constructor(
    private readonly _mimeType: string,
    private readonly _read: Reader
  ) {
    super();
    this.addClass('clnrm-Output');
  }

  renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    this._clear();
    try {
      this._view = new SheetView(this._read(model.data[this._mimeType]));
      this.node.append(this._view.node);
    } catch (error) {
      if (!(error instanceof UnreadableError)) {
        throw error;
      }
      this.node.append(refusalNode(error.message));
    }
    return Promise.resolve();
  }

  override dispose(): void {
    this._clear();
    super.dispose();
  }

  protected override onAfterAttach(): void {
    this._view?.restore();
  }

  protected override onAfterShow(): void {
    this._view?.restore();
  }

  protected override onResize(): void {
    this._view?.restore();
  }

  private _clear(): void {
    this._view?.dispose();
    this._view = null;
    this.node.replaceChildren();
  }

  private _view: SheetView | null = null;
}

function extension(id: string, mimeType: string, read: Reader): IRenderMime.IExtension {
  return {
    id: `clnrm-nb:${id}`,
    description: `Shows ${mimeType} without a kernel.`,
    rendererFactory: {
      safe: true,
      mimeTypes: [mimeType],
      defaultRank: RANK,
      createRenderer: options => new DocumentRenderer(options.mimeType, read)
    },
    rank: RANK,
    dataType: 'json'
  };
}

const extensions: IRenderMime.IExtension[] = [
  extension('trace', TRACE_MIME, traceSheet),
  extension('diff', DIFF_MIME, diffSheet)
];

export default extensions;
