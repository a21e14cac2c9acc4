"""Who decided what about which baseline, when and why: one small file each (``format.md`` 8.4).

Files are only ever added and are named after their content, so branches merge without conflict and nothing
can be changed unnoticed. A decision names those before it; two of one id that nobody names yet are what a
merge of two branches leaves, and the next decision names both.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import subprocess
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from clnrm_nb.config.writing import write_atomically
from clnrm_nb.errors import Diagnostic
from clnrm_nb.spans.content import canonical_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

__all__ = ["FORMAT", "Action", "Decided", "Decision", "DecisionLog", "identity"]

FORMAT: Final = "clnrm-decision/1"

Action = Literal["accept", "reject", "restore", "rule", "undo"]

_GIT_TIMEOUT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision.

    Parameters
    ----------
    id : str
        The baseline's.
    action : str
        What was done.
    version : int or None
        The version the file has after it; ``None`` without a file.
    digest : str or None
        Trace digest: of the file after it; of the trace that a ``reject`` refuses.
    previous : str or None
        Trace digest of the file before it.
    edits, causes : tuple of str
        Ids that were accepted one by one; empty for a whole trace.
    rule : dict or None
        The tolerance rule as it was written, and under ``file`` where.
    at : str
        UTC, ISO 8601 with ``Z``.
    by, reason : str
        Who and why.
    run, source_hash, vars_hash : str or None
        The run it is about, and hashes of the scenario file and the variables it read.
    clnrm_nb : str
        Version of the program.
    parents : tuple of str
        Names of the decisions about this id that no other named before.
    """

    id: str
    action: Action
    version: int | None
    digest: str | None
    previous: str | None
    at: str
    by: str
    reason: str = ""
    edits: tuple[str, ...] = ()
    causes: tuple[str, ...] = ()
    rule: dict[str, Any] | None = field(default=None, hash=False)
    run: str | None = None
    source_hash: str | None = None
    vars_hash: str | None = None
    clnrm_nb: str = ""
    parents: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The document of ``format.md`` 8.4."""
        document = {"format": FORMAT, **asdict(self)}
        ordered = (
            "format", "id", "action", "version", "digest", "previous", "edits", "causes", "rule", "at", "by",
            "reason", "run", "source_hash", "vars_hash", "clnrm_nb", "parents",
        )  # fmt: skip
        return {
            key: list(document[key]) if isinstance(document[key], tuple) else document[key] for key in ordered
        }

    @property
    def hash(self) -> str:
        """Its name: SHA-256 of its canonical JSON, 64 hex digits."""
        return _hash(self.to_json())

    @property
    def day(self) -> str:
        """The date it was made."""
        return self.at[:10]


def _hash(document: Any) -> str:
    return hashlib.sha256(canonical_json(document).encode()).hexdigest()


_TEXTS: Final = frozenset({"id", "action", "at", "by", "reason", "clnrm_nb"})
_LISTS: Final = frozenset({"edits", "causes", "parents"})


def _read(document: Any) -> Decision | None:
    """A decision from its document; ``None`` if it has not the shape of one."""
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        return None
    values = {key: value for key, value in document.items() if key != "format"}
    if set(values) != {field.name for field in fields(Decision)} or values["action"] not in get_args(Action):
        return None
    if not all(_is_fit(key, value) for key, value in values.items()):
        return None
    values.update((key, tuple(values[key])) for key in _LISTS)
    return Decision(**values)


def _is_fit(key: str, value: Any) -> bool:
    if key == "rule":
        return value is None or (isinstance(value, dict) and isinstance(value.get("id"), str))
    if key in _LISTS:
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    if key == "version":
        return value is None or type(value) is int
    return isinstance(value, str) or (value is None and key not in _TEXTS)


@dataclass(frozen=True, slots=True)
class Decided:
    """What became of one id.

    Parameters
    ----------
    id : str
    action : str
        ``accept``, ``reject``, ``restore``, ``rule``, ``undo``.
    changed : bool
        Whether a decision was made (under ``dry_run``: would be). An identical trace needs none.
    version, digest : int, str or None
        Of the file afterwards.
    previous : str or None
        Trace digest of the file before.
    file : str
        The baseline file from the project root; of a rule the file it was written to.
    edits : tuple of str
        Edits accepted one by one, with those they required.
    left : int
        Counted edits still open after that.
    decision : str or None
        Name of the log file's decision.
    refused : str or None
        Why nothing was done about it.
    """

    id: str
    action: Action
    changed: bool
    version: int | None
    digest: str | None
    previous: str | None
    file: str
    edits: tuple[str, ...] = ()
    left: int = 0
    decision: str | None = None
    refused: str | None = None
    rule: str | None = None
    """Id of the rule that was written or taken out."""


class DecisionLog:
    """The log of one project, read once.

    Parameters
    ----------
    directory : Path
        ``baselines/log``.
    name : callable
        A path as messages show it.

    Attributes
    ----------
    damaged : list of Diagnostic
        Files that are not what their name says (CLN702, warnings). They count for nothing.
    """

    def __init__(self, directory: Path, name: Callable[[Path], str] = str) -> None:
        self.directory = directory
        self.damaged: list[Diagnostic] = []
        self._by_id: dict[str, dict[str, Decision]] = {}
        for path in self._paths(name):
            decision = self._load(path)
            if decision is None:
                message = f"the decision `{name(path)}` is not what its name says; it counts for nothing"
                hint = "take it from version control"
                self.damaged.append(Diagnostic("CLN702", message, hint=hint, severity="warning"))
            else:
                self._by_id.setdefault(decision.id, {})[path.stem] = decision

    def _paths(self, name: Callable[[Path], str]) -> list[Path]:
        try:
            found = sorted(self.directory.iterdir())
        except FileNotFoundError:
            return []
        except OSError as error:
            # Not the same as an empty log: somebody's rejection may be in there.
            message = f"the decisions in `{name(self.directory)}` cannot be read: {error.strerror}"
            self.damaged.append(Diagnostic("CLN001", message, severity="error"))
            return []
        return [path for path in found if path.suffix == ".json" and not path.name.startswith(".")]

    @property
    def is_readable(self) -> bool:
        """Whether the log could be looked at; if not, `damaged` says why."""
        return not any(finding.code == "CLN001" for finding in self.damaged)

    @staticmethod
    def _load(path: Path) -> Decision | None:
        try:
            document = json.loads(path.read_bytes())
            return _read(document) if _hash(document) == path.stem else None
        except (OSError, ValueError, RecursionError):
            return None

    # ------------------------------------------------------------------------------------------ reading

    @property
    def ids(self) -> list[str]:
        """Every id anything was decided about."""
        return sorted(self._by_id)

    def of(self, baseline_id: str) -> list[Decision]:
        """Decisions about one id, each after those it names, else by time and name."""
        known = self._by_id.get(baseline_id, {})
        waiting = {name: {p for p in decision.parents if p in known} for name, decision in known.items()}
        ordered: list[Decision] = []
        while waiting:
            ready = [name for name, parents in waiting.items() if not parents]
            # A name is a hash over its parents: a ring cannot be made. Were there one, time decides.
            name = min(ready or waiting, key=lambda one: (known[one].at, one))
            ordered.append(known[name])
            del waiting[name]
            for parents in waiting.values():
                parents.discard(name)
        return ordered

    def heads(self, baseline_id: str) -> tuple[str, ...]:
        """Names of the decisions about an id that no other names: two after a merge of two branches."""
        known = self._by_id.get(baseline_id, {})
        named = {parent for decision in known.values() for parent in decision.parents}
        return tuple(sorted(set(known) - named))

    def standing(self, baseline_id: str) -> list[Decision]:
        """Decisions that were not undone, oldest first; an ``undo`` takes back the last one that stood."""
        return _standing(self.of(baseline_id))

    def standing_at(self, baseline_id: str, names: Sequence[str]) -> list[Decision]:
        """Decisions that stood once these had been made and nothing after them, oldest first."""
        known = self._by_id.get(baseline_id, {})
        reached: set[str] = set()
        todo = [name for name in names if name in known]
        while todo:
            name = todo.pop()
            if name not in reached:
                reached.add(name)
                todo += [parent for parent in known[name].parents if parent in known]
        return _standing([decision for decision in self.of(baseline_id) if decision.hash in reached])

    def rejection(self, baseline_id: str, digest: str) -> Decision | None:
        """The standing decision that refuses this trace, unless it was accepted later."""
        for decision in reversed(self.standing(baseline_id)):
            if decision.digest == digest and decision.action in ("accept", "restore", "reject"):
                return decision if decision.action == "reject" else None
        return None

    def last_version(self, baseline_id: str) -> int:
        """The highest version ever decided on; 0: none."""
        versions = [decision.version or 0 for decision in self._by_id.get(baseline_id, {}).values()]
        return max(versions, default=0)

    def get(self, baseline_id: str, name: str) -> Decision | None:
        """A decision by its name."""
        return self._by_id.get(baseline_id, {}).get(name)

    # ------------------------------------------------------------------------------------------ writing

    def add(self, decision: Decision) -> str:
        """Write a decision; its name.

        Raises
        ------
        OSError
            It cannot be written.
        """
        name = decision.hash
        content = json.dumps(decision.to_json(), indent=1, ensure_ascii=False) + "\n"
        write_atomically(self.directory / f"{name}.json", content.encode())
        self._by_id.setdefault(decision.id, {})[name] = decision
        return name

    def remove(self, name: str) -> None:
        """Take back a decision just written, whose effect could not be."""
        (self.directory / f"{name}.json").unlink(missing_ok=True)
        for known in self._by_id.values():
            known.pop(name, None)

    # ------------------------------------------------------------------------------------------ checking

    def verify(self, ids: Sequence[str] = ()) -> list[Diagnostic]:
        """What is wrong with the chain (CLN702): damaged files, and parents that are not there."""
        # Elsewhere a warning: it counts for nothing, and that may be all right. Here it is the question.
        found = [replace(finding, severity="error") for finding in self.damaged]
        for baseline_id in ids or self.ids:
            known = self._by_id.get(baseline_id, {})
            found.extend(
                Diagnostic(
                    "CLN702",
                    f"decision {name[:12]} about `{baseline_id}` names {parent[:12]}, which is not there",
                    hint="take the missing file of `baselines/log` from version control",
                )
                for name, decision in sorted(known.items())
                for parent in decision.parents
                if parent not in known
            )
        return found


def _standing(ordered: Sequence[Decision]) -> list[Decision]:
    stack: list[Decision] = []
    for decision in ordered:
        if decision.action != "undo":
            stack.append(decision)
        elif stack:
            stack.pop()
    return stack


def identity(given: str | None, directory: Path) -> str:
    """Who decides: as given, else the identity git has for this directory, else the user's name."""
    if given and given.strip():
        return given.strip()
    name, email = (_git(directory, key) for key in ("user.name", "user.email"))
    if name:
        return f"{name} <{email}>" if email else name
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return email or "unknown"


def _git(directory: Path, key: str) -> str:
    try:
        done = subprocess.run(
            ["git", "config", "--get", key],
            cwd=directory,
            capture_output=True,
            text=True,
            timeout=_GIT_TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError, UnicodeError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
