"""What is written to a shell that runs commands one after another: its set-up, a command, the end of both.

Each command runs in a subshell, in the foreground (what runs in the background ignores SIGINT), so that
directory, variables, umask and limits of one are never those of the next. The shell then prints the end on
both streams: a token nobody can guess, behind which nothing of the command follows. Only builtins are used,
in the words that dash, busybox ash and bash share.

The shell's own messages ("Killed") go nowhere, those of the command to the true stderr, which it keeps as
file 3. Traps that do nothing keep it alive where a program signals its whole process group; subshells fall
back to the signals' own effects.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from clnrm_nb.executor.backends.docker.kill import MARK_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from clnrm_nb.executor.backends.protocol import CommandSpec

__all__ = ["ENDED", "SETUP", "can_be_said", "command_snippet", "complaint", "plain_snippet", "second_look"]

ENDED: Final = b"E"
_NO_DIRECTORY: Final = b"W"
_NOT_STARTED: Final = b"P"
_NOT_EXECUTABLE: Final = b"E126 "
_LONGEST_COMPLAINT_BYTES: Final = 2000

# A process that was not there before and still holds one of our streams (1), or does not let us look (2),
# may write later what belongs to nobody: the end says so.
SETUP: Final = rb"""exec 3>&2 2>/dev/null
trap : HUP INT QUIT TERM USR1 USR2 ALRM PIPE
clnrm_end() {
  clnrm_code=$? clnrm_token=$1 clnrm_held=0
  shift
  for clnrm_process in /proc/[0-9]*; do
    case " $* " in *" $clnrm_process "*) continue ;; esac
    for clnrm_file in "$clnrm_process"/fd/[0-9]*; do
      if [ ! -e "$clnrm_file" ] && [ ! -h "$clnrm_file" ]; then
        read -r clnrm_line <"$clnrm_process/stat" || continue
        case $clnrm_line in *') Z '*) ;; *) clnrm_held=2 ;; esac
      elif [ "$clnrm_file" -ef /proc/$$/fd/1 ] || [ "$clnrm_file" -ef /proc/$$/fd/3 ]; then
        clnrm_held=1
      fi
    done
  done
  printf '%sE%s %s\n' "$clnrm_token" "$clnrm_code" "$clnrm_held"
  printf '%sE\n' "$clnrm_token" >&3
}
"""
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Names to which some shell gives a meaning of its own, or which it does not let be set.
_TAKEN: Final = re.compile(
    r"_|IFS|PPID|E?UID|GROUPS|S?RANDOM|SECONDS|LINENO|OPTIND|SHELLOPTS|FUNCNAME|DIRSTACK|HISTCMD"
    r"|BASH\w*|EPOCH\w*|COMP_\w*|clnrm_\w*"
)


def can_be_said(variables: Iterable[str]) -> bool:
    """Whether a shell hands on variables of these names unchanged."""
    return all(_NAME.fullmatch(name) and not _TAKEN.fullmatch(name) for name in variables)


def command_snippet(command: CommandSpec, mark: str, token: bytes) -> bytes:
    """One command in a subshell, with what tells how it ended or why it did not start."""
    # No longer there once the program has taken the subshell's place.
    into = b""
    if command.workdir is not None:
        into = b"%s; cd %s || exit; unset OLDPWD; " % (
            _at_exit(token + _NO_DIRECTORY),
            _quoted(_path(command.workdir)),
        )
    inside = b"%s%s; %s; exec %s 2>&3 3>&-" % (
        into,
        _at_exit(token + _NOT_STARTED + b"$?"),
        _exports({**command.env, MARK_VARIABLE: mark}),
        _words(command.argv),
    )
    return b'set -- /proc/[0-9]*; ( %s ) </dev/null; clnrm_end %s "$@"\n' % (inside, token)


def complaint(command: CommandSpec, records: Sequence[bytes], stderr: bytes) -> str | None:
    """Why a command that has ended never started; ``None``: it did.

    Parameters
    ----------
    records : sequence of bytes
        What the shell said, without tokens.
    stderr : bytes
        Of the command; the shell's own words, where it did not start.
    """
    said = stderr[:_LONGEST_COMPLAINT_BYTES].decode("utf-8", "replace")
    first = records[0]
    if first == _NO_DIRECTORY:
        return "chdir"
    if first.startswith(_NOT_STARTED):
        return said or ("not found" if first.endswith(b"127") else "permission denied")
    # Where the kernel refuses to execute it, bash leaves the subshell without a record.
    if first.startswith(_NOT_EXECUTABLE):
        program = re.escape(command.argv[0])
        words = rf"(?:.*: line \d+: .*\n)?.*: line \d+: (?:exec: )?(?:.*/)?{program}: .*\n"
        return said if re.fullmatch(words, said) else None
    return None


def plain_snippet(script: bytes, token: bytes) -> bytes:
    """Lines of our own for the shell itself; processes that hold its streams are not looked for."""
    return b"%s\nclnrm_end %s /proc/[0-9]*\n" % (script, token)


def second_look(token: bytes) -> bytes:
    """Whether what the last command left still holds the streams."""
    return b'clnrm_end %s "$@"\n' % token


def _at_exit(text: bytes) -> bytes:
    return b"trap 'printf \"%%s\\n\" %s' EXIT" % text


def _exports(variables: Mapping[str, str]) -> bytes:
    said = (name.encode() + b"=" + _quoted(value) for name, value in variables.items())
    return b"export " + b" ".join(said)


def _words(argv: Sequence[str]) -> bytes:
    return b" ".join(map(_quoted, argv))


def _path(workdir: str) -> str:
    """A path that CDPATH does not change, and that is no option."""
    return workdir if workdir.startswith("/") else f"./{workdir}"


def _quoted(text: str) -> bytes:
    return b"'" + text.encode("utf-8", "surrogateescape").replace(b"'", b"'\\''") + b"'"
