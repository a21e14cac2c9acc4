"""What holds before any test is read: the project, its scenario files, and the settings.

:mod:`~clnrm_nb.config.settings` is imported where settings are needed, never here: it brings pydantic.
"""

from __future__ import annotations

from clnrm_nb.config.discovery import Discovery, discover
from clnrm_nb.config.duration import parse_duration
from clnrm_nb.config.project import Project, find_project, safe_name, test_id

__all__ = ["Discovery", "Project", "discover", "find_project", "parse_duration", "safe_name", "test_id"]
