"""Ending a command and everything it started, inside a container that goes on living.

The engine cannot end an exec. But a command's environment carries an unguessable mark, its children inherit
it, and a second exec finds them by it in ``/proc``; children that cleared their environment are found as
descendants of those that did not. Where the image has no shell, the container itself is killed: a limit is a
limit.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final

from docker.errors import APIError

from clnrm_nb.executor.backends.docker.stream import FrameStream

if TYPE_CHECKING:
    import docker

    from clnrm_nb.executor.backends.docker.engine import Engine

__all__ = ["MARK_VARIABLE", "kill_container", "new_mark", "signal_tree"]

MARK_VARIABLE: Final = "CLNRM_COMMAND"
_NOT_EXECUTABLE: Final = 126

# Arguments: the mark's assignment, the signal. KILL is repeated until nothing is left, since what forks
# between looking and killing would be missed. Exit 0: nothing left (KILL) or everything told (TERM).
_SCRIPT: Final = r"""
mark=$1 signal=$2
list_marked() {
  if command -v grep >/dev/null; then
    grep -l "$mark" /proc/[0-9]*/environ
  else
    for file in /proc/[0-9]*/environ; do
      while IFS= read -r text || [ -n "$text" ]; do
        case $text in *"$mark"*) echo "$file"; break ;; esac
      done <"$file"
    done
  fi
}
find_tree() {
  tree=' '
  for file in $(list_marked 2>/dev/null); do
    pid=${file#/proc/}; tree="$tree${pid%/environ} "
  done
  [ "$tree" = ' ' ] && return 1
  grown=1
  while [ "$grown" ]; do
    grown=
    for status in /proc/[0-9]*/status; do
      pid= parent= state=
      { while read -r key value rest; do
          case $key in State:) state=$value ;; Pid:) pid=$value ;; PPid:) parent=$value; break ;; esac
        done <"$status"; } 2>/dev/null
      [ "$state" = Z ] && continue
      case $tree in *" $pid "*) continue ;; esac
      case $tree in *" $parent "*) tree="$tree$pid " grown=1 ;; esac
    done
  done
}
rounds=0
while find_tree; do
  for pid in $tree; do kill -s "$signal" "$pid" 2>/dev/null; done
  [ "$signal" = KILL ] || exit 0
  rounds=$((rounds + 1))
  [ "$rounds" -lt 50 ] || exit 1
done
exit 0
"""


def new_mark() -> str:
    """A value that no other command has."""
    return secrets.token_hex(16)


def signal_tree(engine: Engine, container_id: str, mark: str, signal: str) -> bool:
    """Send `signal` (``TERM``, ``KILL``) to everything that carries `mark`, in this thread.

    Returns
    -------
    bool
        Whether it worked; if not, only :func:`kill_container` remains.
    """
    script = ["/bin/sh", "-c", _SCRIPT, "sh", f"{MARK_VARIABLE}={mark}", signal]
    # As root with all capabilities, since reading another user's environment takes SYS_PTRACE; as the
    # command's own user where the engine itself has not all of them.
    if engine.can_exec_privileged:
        code = _run(engine.client, container_id, script, user="0", privileged=True)
        if code != _NOT_EXECUTABLE:
            return code == 0
        engine.can_exec_privileged = False
    return _run(engine.client, container_id, script) == 0


def _run(client: docker.APIClient, container_id: str, argv: list[str], **options: Any) -> int | None:
    exec_id = client.exec_create(container_id, argv, **options)["Id"]
    stream = FrameStream(client.exec_start(exec_id, socket=True))
    for _ in stream.frames():
        pass
    stream.close()
    code: int | None = client.exec_inspect(exec_id)["ExitCode"]
    return code


def kill_container(client: docker.APIClient, container_id: str) -> None:
    """Kill a container; one that has ended or is gone is fine."""
    try:
        client.kill(container_id, "SIGKILL")
    except APIError as ended:
        if ended.status_code not in (404, 409):
            raise
