"""Notebooks as regression tests: executed by papermill in worker processes, judged by what they hold.

Nothing is judged twice: what a notebook's own commands said stands in its durable outputs, and is read from
there. This package adds only what those cannot know: that a cell broke, a kernel died, the time ran out.
"""

from __future__ import annotations
