"""Regular expressions that people write, over data that nobody has seen: always in bounded time."""

from clnrm_nb.patterns.pattern import EndlessError, Pattern, compiled

__all__ = ["EndlessError", "Pattern", "compiled"]
