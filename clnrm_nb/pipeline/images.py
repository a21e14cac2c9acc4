"""The images that tests would run in now: what the engine says, or said last where none answers."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from clnrm_nb.state.images import SeenImages

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from clnrm_nb.config.settings import Settings
    from clnrm_nb.state import State

__all__ = ["ImageIds", "images_now", "resolved_backend", "seen_images"]


@dataclass(frozen=True, slots=True)
class ImageIds:
    """Content addresses of images by name, and why that of others is not known."""

    ids: Mapping[str, str | None] = field(default_factory=dict)
    unknown: Mapping[str, str] = field(default_factory=dict)

    def why_unknown(self, names: Iterable[str]) -> str | None:
        """Why tests with these images have no hash; ``None``: all are known."""
        return next((self.unknown[name] for name in names if name in self.unknown), None)


def resolved_backend(settings: Settings) -> str:
    """The name of the backend that tests run on: ``auto`` is decided here, by a glance at the engine."""
    name = settings.executor.backend
    if name != "auto":
        return name
    from clnrm_nb.executor.backends.docker.glance import UnaskableError, answers

    try:
        is_there = answers(settings.executor.docker_host)
    except UnaskableError:
        is_there = True
    return "docker" if is_there or not settings.executor.replay else "replay"


def seen_images(settings: Settings, state: State) -> SeenImages:
    """What the engine in use was last seen to have."""
    chosen = settings.executor.docker_host or os.environ.get("DOCKER_HOST", "")
    return SeenImages(state, chosen or os.environ.get("DOCKER_CONTEXT", ""))


def images_now(names: Collection[str], backend: str, settings: Settings, state: State) -> ImageIds:
    """Ask for some images; blocks for as long as the engine takes to answer."""
    if not names:
        return ImageIds()
    if backend != "docker":
        why = f"uncacheable: the backend `{backend}` does not say what images ran"
        return ImageIds(unknown=dict.fromkeys(names, why))
    if settings.containers.pull_policy == "always":
        why = 'uncacheable: `containers.pull_policy = "always"` may bring another image under the same name'
        return ImageIds(unknown=dict.fromkeys(names, why))
    from clnrm_nb.executor.backends.docker.glance import UnaskableError, image_ids

    seen = seen_images(settings, state)
    try:
        found = image_ids(sorted(names), settings.executor.docker_host)
    except UnaskableError as error:
        return ImageIds(unknown=dict.fromkeys(names, f"uncacheable: {error}"))
    if found is not None:
        seen.note(found)
    last = seen.last() if found is None else found
    known = {name: last[name] for name in names if last.get(name) is not None}
    place = "no engine answers, and when one did it" if found is None else "the engine"
    return ImageIds(known, {name: f"{place} had no image `{name}`" for name in names if name not in known})
