"""``watch``: the way of a save, where files and their dependents (:mod:`clnrm_nb.watch`) meet runs.

:mod:`~clnrm_nb.api.watching.handle` is what callers hold, :mod:`~clnrm_nb.api.watching.session` takes one
message after another and tells what happens, and the others are its parts.
"""
