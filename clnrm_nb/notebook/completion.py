"""TAB on a ``%clnrm`` line: the words that Click knows of the same tree which carries the line out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["complete", "offer_completion"]


def offer_completion(shell: InteractiveShell) -> None:
    """Let a shell ask us."""
    for magic in ("%clnrm", "%%clnrm"):
        shell.set_hook(  # type: ignore[no-untyped-call]  # IPython ships no annotation for it
            "complete_command", _complete_event, str_key=magic
        )


def complete(line: str) -> list[str]:
    """Words that may stand where a line (``cache why te``) ends."""
    from click.shell_completion import ShellComplete

    from clnrm_nb.api.completing import names_of
    from clnrm_nb.commands.tree import build_tree

    *words, incomplete = line.split(" ")
    tree = build_tree(notebook=True, names=names_of)
    found = ShellComplete(tree, {}, "%clnrm", "").get_completions(
        [word for word in words if word], incomplete
    )
    return [item.value for item in found]


def _complete_event(_shell: Any, event: Any) -> list[str]:
    """The form in which IPython asks."""
    return complete(event.text_until_cursor.lstrip().partition(" ")[2])
