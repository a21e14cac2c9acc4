"""From paths and cells to the files that are to be rendered; nothing is read here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clnrm_nb.config.discovery import discover
from clnrm_nb.template.model import TemplateRequest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from clnrm_nb.config.project import Project
    from clnrm_nb.config.settings import Settings
    from clnrm_nb.errors import Diagnostic
    from clnrm_nb.pipeline.request import Sources, Variables

__all__ = ["file_requests", "template_request"]


def template_request(
    path: Path,
    project: Project,
    settings: Settings,
    variables: Variables,
    *,
    file: str | None = None,
    text: str | None = None,
    no_template: bool = False,
    matrix: Mapping[str, Any] | None = None,
) -> TemplateRequest:
    """The rendering of one file under this project's settings."""
    return TemplateRequest(
        path=path,
        file=file or project.relative(path),
        project_root=project.root,
        text=text,
        variables=variables.given,
        parameters=variables.parameters,
        environ=variables.environ,
        matrix=matrix or {},
        library_files=[project.root / name for name in settings.template.macros],
        no_template=no_template,
        determinism=variables.determinism,
    )


def file_requests(
    sources: Sources, variables: Variables, *, project: Project, settings: Settings
) -> tuple[list[TemplateRequest], list[Diagnostic]]:
    """One request a file or cell, in path order, and what is to be said about the paths."""
    requests: list[TemplateRequest] = []
    findings: list[Diagnostic] = []
    if sources.paths:
        discovery = discover(sources.paths, project, settings.discovery.ignore)
        findings += discovery.diagnostics
        requests += [
            template_request(path, project, settings, variables, no_template=sources.no_template)
            for path in discovery.files
        ]
    requests += [
        template_request(
            cell.directory / f"{cell.name}.clnrm.toml.tera",
            project,
            settings,
            variables,
            file=f"cell:{cell.name}",
            text=cell.text,
        )
        for cell in sources.cells
    ]
    return requests, findings
