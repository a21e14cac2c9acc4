"""The order of one run, and the only place that knows it.

``load`` (render, parse, validate every file × matrix combination) → ``select`` → ``execute`` (the executor)
→ ``judge`` (expectations, statuses) → ``record`` (state, artifacts, report files). Data goes down this list
and never back up.
"""
