"""Shares of memory, turns of time, debts of what was put off."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clnrm_nb.spans.fairness import Account, Reservation, Shares, Turns


def filled(shares, account, size=1000):
    """Take as much as there is to be had; how much that is."""
    while shares.take(account, size):
        pass
    return account.held


def test_one_account_alone_may_hold_half():
    assert filled(Shares(1_000_000), Account()) == 500_000


def test_whoever_comes_after_the_noisy_ones_finds_room():
    shares = Shares(1_000_000)
    for _ in range(5):
        filled(shares, Account())

    assert shares.take(Account(), 10_000)


def test_a_second_token_of_a_test_is_no_second_share():
    shares, account = Shares(1_000_000), Account()
    filled(shares, account)

    assert not Reservation(shares, account).grow(1000)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 400)), max_size=200))
def test_no_order_of_takers_holds_more_than_there_is_or_loses_count(takers):
    shares, accounts = Shares(1000), [Account() for _ in range(5)]
    reservations = [Reservation(shares, account) for account in accounts]

    for number, size in takers:
        reservations[number].grow(size)
        assert sum(account.held for account in accounts) <= 1000
    for reservation in reservations:
        reservation.release()
        reservation.release()

    assert [account.held for account in accounts] == [0] * 5
    assert filled(shares, Account(), 1) == 500


async def test_a_quiet_account_has_its_turn_before_a_noisy_one_is_done():
    turns, noisy, quiet, order = Turns(), Account(), Account(), []

    def steps(name, count):
        for _ in range(count):
            order.append(name)
            yield

    await asyncio.gather(
        *(turns.run(noisy, steps("noisy", 10)) for _ in range(10)), turns.run(quiet, steps("quiet", 2))
    )

    assert order.count("noisy") == 100
    assert order.index("quiet") <= 2
    assert order[:8].count("quiet") == 2


async def test_work_that_fails_is_its_own_matter():
    turns, account, done = Turns(), Account(), []

    def bad():
        yield
        raise ValueError("bad")

    def good():
        yield
        done.append(True)

    failed, went_well = await asyncio.gather(
        turns.run(account, bad()), turns.run(account, good()), return_exceptions=True
    )

    assert (str(failed), went_well, done) == ("bad", None, [True])


@pytest.mark.parametrize(
    ("put_off", "came", "owed"),
    [
        ((10, b"a"), (10, b"a"), 0),
        ((10, b"a"), (10, b"b"), 1),
        ((10, None), (10, b"b"), 0),
        ((11, None), (10, b"b"), 1),
        ((None, None), (None, b"b"), 0),
    ],
    ids=["the same", "another of its length", "cut off", "cut off, another length", "no length"],
)
def test_a_debt_is_paid_by_the_same_request_only(put_off, came, owed):
    account = Account()
    account.put_off(put_off)

    account.came(came)

    assert account.n_open == owed


def test_debts_are_bounded_and_stay_counted():
    account = Account()
    for number in range(10_500):
        account.put_off((number, b""))

    assert account.n_open == 10_500
    assert len(account._open) == 10_000
