"""The ``clnrm`` command: words in, a function of :mod:`clnrm_nb.api` called, its result shown."""
