"""``%clnrm review``: differences that wait for a decision, one after another, by button and key."""

from __future__ import annotations
