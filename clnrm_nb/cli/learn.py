"""``clnrm baseline learn`` at a terminal: a yes or no for each rule; without one nothing is learnt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from clnrm_nb.cli.keyboard import INTERRUPT, QUIT, keyboard
from clnrm_nb.errors import ClnrmError
from clnrm_nb.report.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from clnrm_nb.baseline.offers import Offer
    from clnrm_nb.report.learned import Learned

__all__ = ["ask", "ask_with"]

_KEYS: Final = "y yes  n no  f other file  a yes to all that hide nothing  q quit"
_PLACES: Final = {"project": "scenario", "scenario": "project"}
_FILES: Final = {"project": "baselines/rules.toml", "scenario": "the scenario file"}


def ask(learned: Learned) -> None:
    """Ask about each rule that waits; what is agreed to is written at once.

    Raises
    ------
    KeyboardInterrupt
        Ctrl-C; what was agreed to before is kept.
    """
    if learned.waiting:
        with keyboard() as read_key:
            ask_with(learned, read_key)


def ask_with(learned: Learned, read_key: Callable[[], str]) -> None:
    """As :func:`ask`, keys from anywhere."""
    place = "project"
    while learned.waiting:
        _, offer = learned.waiting[0]
        _show(offer, place)
        key = read_key()
        if key == INTERRUPT:
            raise KeyboardInterrupt
        if key in QUIT:
            break
        if key == "f":
            place = _PLACES[place]
        elif key == "n":
            learned.decline(offer.rule.id)
        elif key == "y" and (not offer.hides or _agrees_again(read_key)):
            _accept(learned, [offer], place)
        elif key == "a":
            _accept(learned, [offer for _, offer in learned.waiting if not offer.hides], place)
    states = [row[-1] for row in learned.rows]
    click.echo(f"{states.count('accepted')} of {len(states)} rules accepted")


def _show(offer: Offer, place: str) -> None:
    click.echo()
    for number, sentence in enumerate(offer.sentences()):
        click.echo(f"{'  ' * bool(number)}{one_line(sentence)}")
    click.echo(f"  written to {_FILES[place]}")
    click.echo(_KEYS)


def _agrees_again(read_key: Callable[[], str]) -> bool:
    click.echo("It hides what was rejected: y again to agree.")
    return read_key() == "y"


def _accept(learned: Learned, offers: list[Offer], place: str) -> None:
    for offer in offers:
        try:
            learned.accept(offer.rule.id, place=place, confirmed=offer.hides)
        except ClnrmError as error:
            click.echo(f"error: {one_line(str(error))}")
            learned.decline(offer.rule.id)
