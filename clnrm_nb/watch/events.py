"""File events of the system, by watchfiles: directories one by one, none of those below them.

Watching each directory by itself leaves out what nobody asked for (``node_modules`` alone may hold tens of
thousands) and costs a reopening when a directory comes or goes; a thousand directories take 60 ms.
"""

from __future__ import annotations

import errno
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Events", "Notify", "Raw", "UnwatchableError", "open_notify"]

Raw = set[tuple[int, str]]


class Event(Protocol):
    """Something that can be set."""

    def is_set(self) -> bool:
        """Whether it is."""
        ...


class Notify(Protocol):
    """The part of ``watchfiles``' ``RustNotify`` that is used here."""

    def watch(
        self, debounce_ms: int, step_ms: int, timeout_ms: int, stop_event: Event | None
    ) -> Raw | Literal["signal", "stop", "timeout"]:
        """Events, or why there are none."""
        ...

    def close(self) -> None:
        """End its thread."""
        ...


class UnwatchableError(Exception):
    """The system does not tell events: `kind` is that of the remark to make about it."""

    def __init__(self, kind: Literal["limit", "unwatchable"], message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.hint = hint


def open_notify(directories: Sequence[str]) -> Notify:
    """Watch directories, without those below them."""
    from watchfiles._rust_notify import RustNotify

    # Ignoring denied permissions, watchfiles 1.3 would pass over every other error too, limits included.
    return RustNotify(list(directories), False, False, 300, False, False)


@dataclass(slots=True)
class Events:
    """Events of directories that may change.

    Parameters
    ----------
    opener : callable
        Opens a watcher on directories.
    """

    opener: Callable[[Sequence[str]], Notify] = open_notify
    _notify: Notify | None = None

    def open(self, directories: Sequence[str]) -> None:
        """Watch these directories in place of those before; at no moment nothing is watched.

        Raises
        ------
        UnwatchableError
            If the system refuses.
        FileNotFoundError
            If one of them has just gone.
        """
        try:
            notify = self.opener(directories) if directories else None
        except FileNotFoundError:
            raise
        except (OSError, RuntimeError) as error:
            raise _refusal(error) from error
        self.close()
        self._notify = notify

    def wait(self, step_ms: int, timeout_ms: int, stop: Event) -> Raw:
        """Events that come within `timeout_ms`, as soon as one step passes without another; maybe none.

        Raises
        ------
        UnwatchableError
            If the watcher broke down.
        """
        if self._notify is None:
            time.sleep(timeout_ms / 1_000)
            return set()
        try:
            found = self._notify.watch(max(4 * step_ms, 20), step_ms, timeout_ms, stop)
        except (OSError, RuntimeError) as error:
            raise _refusal(error) from error
        return found if isinstance(found, set) else set()

    def close(self) -> None:
        """Watch nothing."""
        if self._notify is not None:
            self._notify.close()
            self._notify = None


def _refusal(error: Exception) -> UnwatchableError:
    number = getattr(error, "errno", None)
    text = str(error)
    if number == errno.ENOSPC or "watch limit" in text or f"os error {errno.ENOSPC}" in text:
        return UnwatchableError(
            "limit",
            "the system's limit of watched directories is reached",
            "raise it with `sysctl fs.inotify.max_user_watches=524288`, or watch fewer directories",
        )
    if number == errno.EMFILE or f"os error {errno.EMFILE}" in text:
        return UnwatchableError(
            "limit",
            "the system's limit of open files or of watchers is reached",
            "raise it with `ulimit -n` or `sysctl fs.inotify.max_user_instances=512`",
        )
    return UnwatchableError("unwatchable", f"the system tells no file events: {text}")
