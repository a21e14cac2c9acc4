"""What each code means: one page of text for every code, with a wrong and a right example.

The pages are files (``pages/CLN301.md``) and the only source: ``clnrm explain``, the documentation, hints in
reports and the test that runs every example all read them.
"""

from __future__ import annotations

from clnrm_nb.explain.page import Block, Example, Page, page, resolve, summary

__all__ = ["Block", "Example", "Page", "page", "resolve", "summary"]
