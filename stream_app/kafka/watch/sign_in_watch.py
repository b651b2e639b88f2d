"""Tells that brokers refuse the sign-in of a running worker, and loads renewed certificates.

A worker that is refused waits: what it has is not lost, and a renewed file, a new password on the
broker or a token endpoint that is back lets it go on.
"""

from __future__ import annotations

from stream_app.kafka.sign_in.refusals import REFUSALS
from stream_app.kafka.sign_in.sign_in import SignIn
from stream_app.logs import get_logger

log = get_logger(__name__)


class SignInWatch:
    """Logs each broker's refusal once, and its end.

    Args:
        sign_in: of the worker's clients.
    """

    def __init__(self, sign_in: SignIn) -> None:
        self._sign_in = sign_in
        self._told: dict[str, str] = {}

    def failure(self) -> str | None:
        """Return what a broker refuses; None if none does."""
        found = REFUSALS.newest()
        return None if found is None else str(found)

    def look(self) -> None:
        """Log what has changed, and load renewed certificates; this is called regularly."""
        # Not only when a connection is made: that may be weeks later, and too late.
        self._sign_in.context()
        found = {place: str(error) for place, error in REFUSALS.current().items()}
        for place, why in found.items():
            if self._told.get(place) != why:
                log.error("kafka_refuses", why=why, then="waiting, and trying again")
        if self._told and not found:
            log.info("kafka_accepts_again")
        self._told = found
