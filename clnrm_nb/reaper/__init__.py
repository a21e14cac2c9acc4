"""The reaper: a small process that outlives this one and removes what it can no longer remove itself.

Nothing here imports another package of ours: ``process`` is started as a script by a bare interpreter, and
waits with next to nothing loaded. ``removal`` and ``engine`` are imported when it has to act; ``processes``
serves the process backend as well, ``ownership`` everybody who has to tell one process from another. Whoever
is watched speaks through :mod:`clnrm_nb.executor.reaper`.
"""
