"""What runs in the reaper process: wait for the end of another one, then remove what that one left.

Standard input is a pipe whose only writing end the watched process holds, so that the kernel itself tells of
its death. Over it come lines: ``+FACT`` and ``-FACT`` for what is there and no longer there, ``.`` for a
farewell, after which there is nothing to do. Facts are JSON, and are read only when they are needed: until
then this process has loaded nothing but the interpreter.
"""

import os
import signal
import sys

_READ_BYTES = 65536


def main() -> None:
    """Wait, then act; never by a signal, as the terminal sends those to whatever it finds."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    # A child of nobody who may count, wait for, or signal his children.
    if os.fork():
        os._exit(0)
    facts = _listen(0)
    if facts:
        sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
        from clnrm_nb.reaper.removal import remove

        remove(facts)


def _listen(pipe: int) -> list[str]:
    """The facts that hold when the other side has died; none after a farewell."""
    facts: dict[bytes, None] = {}
    rest = b""
    while data := os.read(pipe, _READ_BYTES):
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            if line == b".":
                return []
            if line.startswith(b"+"):
                facts[line[1:]] = None
            else:
                facts.pop(line[1:], None)
    return [fact.decode() for fact in facts]


if __name__ == "__main__":
    main()
