"""``python -m clnrm_nb``."""

from clnrm_nb.cli.main import main

main()
