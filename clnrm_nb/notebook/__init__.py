"""The notebook front end: ``%clnrm`` and ``%%clnrm``, thin over the same click tree as the command line."""
