"""One export request on its way in, whichever protocol brought it: admitted, decoded in turns, delivered.

The protocols (:mod:`clnrm_nb.spans.request`, :mod:`clnrm_nb.spans.grpc_server`) know how requests are spelled
and answered; here is what becomes of them, so that limits, losses and owners are the same for both.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from clnrm_nb.spans import decode, rpc
from clnrm_nb.spans.compression import BodyError
from clnrm_nb.spans.fairness import Reservation
from clnrm_nb.spans.intake import MAX_BLOCKS, Intake
from clnrm_nb.spans.loaders import otlp_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from clnrm_nb.spans.fairness import Fingerprint
    from clnrm_nb.spans.receiver import Receiver

__all__ = ["BUSY", "Delivery", "Export", "Refusal", "Taken"]

BUSY: Final = 503
"""The one status after which senders send again."""

_COMES_AGAIN_S: Final = 3.0 * rpc.RETRY_AFTER_S


@dataclass(frozen=True, slots=True)
class Delivery:
    """What one request under a token brought.

    Parameters
    ----------
    token : str
    intake : Intake or None
        Its spans and what was refused of them; ``None`` if the request could not be read at all.
    error : str or None
        Why it could not be read.
    size : int
        Bytes of the request, unpacked.
    """

    token: str
    intake: Intake | None
    error: str | None = None
    size: int = 0


class Refusal(Exception):  # noqa: N818  an answer, not a failure of ours
    """A request that is not taken.

    Parameters
    ----------
    status : int
        As HTTP has it; 503 asks to come again.
    message : str
        Fit for the sender.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Taken:
    """What to tell the sender of a request that was taken.

    Parameters
    ----------
    n_rejected : int
        Spans of it that were not.
    message : str
        Why not.
    """

    n_rejected: int = 0
    message: str = ""


class Export:
    """One request under one token. It holds memory until :meth:`release`.

    Parameters
    ----------
    receiver : Receiver
    token : str
        Known or not.
    """

    __slots__ = ("_is_released", "_receiver", "_reservation", "token")

    def __init__(self, receiver: Receiver, token: str) -> None:
        self._receiver = receiver
        self._reservation = Reservation(receiver.shares, receiver.account_of(token))
        self._is_released = False
        self.token = token
        receiver.in_flight[token] += 1

    def admit(self, size: int) -> None:
        """Take in `size` more unpacked bytes.

        Raises
        ------
        Refusal
            503 if too much is in flight now, 413 if the test has sent all it may.
        """
        limit = self._receiver.limits.max_test_bytes
        total = self._reservation.account.received + self._reservation.size + size
        # Strangers send as much as they like: next to nothing of it is kept.
        if total > limit and self._receiver.knows(self.token):
            raise Refusal(413, f"this test has sent more than {limit} bytes of spans")
        if not self._reservation.grow(size):
            raise Refusal(BUSY, "too many bytes in flight; send again later")

    async def take(self, unpack: Callable[[], bytes], fingerprint: Fingerprint, *, is_json: bool) -> Taken:
        """Decode and deliver the request.

        Parameters
        ----------
        unpack : callable
            Gives the whole body; may raise `BodyError`.

        Raises
        ------
        Refusal
            400 if it cannot be read.
        """
        account, intake = self._reservation.account, Intake(self._receiver.shared)
        try:
            data = unpack()
            await self._receiver.turns.run(account, _steps(data, intake, is_json=is_json))
        except (BodyError, decode.MalformedError) as error:
            raise Refusal(400, str(error)) from None
        account.received += len(data)
        account.came(fingerprint)
        if self._receiver.deliver(Delivery(self.token, intake, size=len(data))):
            reasons = (f"{reason} ({count})" for reason, count in sorted(intake.refused.items()))
            return Taken(intake.n_refused, ", ".join(reasons))
        n_rejected = len(intake.table) + intake.n_refused
        return Taken(n_rejected, "unknown token" if n_rejected else "")

    def refused(self, refusal: Refusal, fingerprint: Fingerprint) -> None:
        """Note what a refusal means for the trace: a loss, or a debt while it may come again."""
        account = self._reservation.account
        if refusal.status == BUSY:
            account.put_off(fingerprint)
            account.awaited_until_s = time.monotonic() + _COMES_AGAIN_S
            return
        account.came(fingerprint)
        if self._receiver.knows(self.token):
            self._receiver.deliver(Delivery(self.token, None, str(refusal)))

    def cut_off(self, length: int | None) -> None:
        """Only a part of the request has come: a loss unless the whole comes."""
        self._reservation.account.put_off((length, None))

    def release(self) -> None:
        """Let go of everything; safe to call twice."""
        if self._is_released:
            return
        self._is_released = True
        self._reservation.release()
        in_flight = self._receiver.in_flight
        in_flight[self.token] -= 1
        if not in_flight[self.token]:
            del in_flight[self.token]


def _steps(data: bytes, intake: Intake, *, is_json: bool) -> Iterator[None]:
    """Decoding, a slice at a time; the first one parses."""
    intake.shared.note(len(data))
    if not is_json:
        yield from decode.read_steps(data, intake)
        return
    try:
        document: Any = orjson.loads(data or b"{}")
    except orjson.JSONDecodeError as error:
        raise decode.MalformedError(f"not JSON: {error}") from None
    if not isinstance(document, dict):
        raise decode.MalformedError("not an OTLP trace message: a JSON object is needed")
    if otlp_json.count_blocks(document) > MAX_BLOCKS:
        raise decode.MalformedError(f"more than {MAX_BLOCKS} resources and scopes in one request")
    yield from otlp_json.read_steps(document, intake, strict_ids=True)
