"""What can be asked of clnrm_nb: the one table of commands and flags, and the click tree built from it.

Nothing of the engine is imported here: the tree only understands words. Both front ends use it, ``api`` reads
the table to tell options that override a configuration key from those that are arguments.
"""

from __future__ import annotations

from clnrm_nb.commands.table import COMMANDS, SETS, Argument, Command, Flag, flags_of

__all__ = ["COMMANDS", "SETS", "Argument", "Command", "Flag", "flags_of"]
