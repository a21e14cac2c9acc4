"""For tests and notebooks that look at what other notebooks came to.

Examples
--------
>>> from clnrm_nb.testing import read_results
>>> [saved.document["ok"] for saved in read_results("out/20-regression.ipynb", "result")]  # doctest: +SKIP
[True]

What such a document keeps of a run becomes a result again, with the traces it was compared with:

>>> from clnrm_nb import RunResult
>>> (saved,) = read_results("out/20-regression.ipynb", "result")  # doctest: +SKIP
>>> RunResult.from_document(saved.document).diff.frame  # doctest: +SKIP
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from clnrm_nb.regress.saved import NotebookError, SavedDocument, read_notebook

__all__ = ["NotebookError", "SavedDocument", "read_results"]


def read_results(
    path: str | Path, kind: Literal["trace", "diff", "result", "diagnostics"] | None = None
) -> list[SavedDocument]:
    """The durable documents of an executed notebook.

    Parameters
    ----------
    path : path
        A notebook, executed by anything.
    kind : {"trace", "diff", "result", "diagnostics"}, optional
        Only these.

    Returns
    -------
    list of SavedDocument
        In the order of the cells: ``cell`` (index from 0, without cells that papermill added), ``kind``,
        ``document``, ``text``.

    Raises
    ------
    NotebookError
        The file is no notebook, or was written by a newer version.
    """
    documents = read_notebook(Path(path)).documents
    return [saved for saved in documents if kind in (None, saved.kind)]
