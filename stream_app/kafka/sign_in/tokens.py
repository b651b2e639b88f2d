"""Tokens that are renewed before they expire, in a thread of their own.

Workers have several event loops and none of them may wait for a token endpoint. So a token is
ready when a connection needs one; only the first one is waited for.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from stream_app.kafka.sign_in.refusals import SignInRefusedError
from stream_app.logs import get_logger

log = get_logger(__name__)

#: After this share of its life a token is renewed. Connections sign in again later than that in
#: their sessions (`connection.py`), which end with the token at the latest.
RENEW_SHARE = 0.6
#: Pauses between attempts: from the first to the last.
FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 1.0, 30.0
#: The shortest time between two fetches.
LEAST_SECONDS = 0.5
#: A refused token is replaced at once only if it is older than this.
FRESH_SECONDS = 10.0
#: After this many lives of a token without a connection that needs one, no more are fetched.
UNUSED_LIVES = 3


@dataclass(frozen=True)
class SignInToken:
    """A token, and how long it is good from the moment it was asked for, in seconds."""

    text: str
    life_seconds: float


class Tokens:
    """Keeps a token that is good.

    Args:
        fetch: gets a new one; it may block, and raises `SignInRefusedError`.
    """

    def __init__(self, fetch: Callable[[], SignInToken]) -> None:
        self._fetch = fetch
        self._lock = threading.Lock()
        self._token: SignInToken | None = None
        self._since = 0.0
        self._wanted = 0.0
        #: Set when the next token is needed now.
        self._hurry = threading.Event()
        self._failed_at: tuple[float, SignInRefusedError] | None = None
        self._first: Future[str] | None = None
        self._is_kept = False

    async def current(self) -> str:
        """Return a token that is good.

        Raises:
            SignInRefusedError: there is none.
        """
        self._wanted = time.monotonic()
        with self._lock:
            token = self._token
            if token is not None and self._wanted < self._since + token.life_seconds:
                return token.text
            if self._failed_at and self._wanted - self._failed_at[0] < FIRST_RETRY_SECONDS:
                raise self._failed_at[1]
            if self._first is None:
                self._first = Future()
                # Several wait for it, so none may cancel it.
                self._first.set_running_or_notify_cancel()
                self._hurry.set()
                if not self._is_kept:
                    self._is_kept = True
                    threading.Thread(target=self._keep, name="tokens", daemon=True).start()
            first = self._first
        return await asyncio.wrap_future(first)

    def discard(self, text: str) -> None:
        """Note that a broker refuses a token, so that the next one is fetched soon."""
        with self._lock:
            token = self._token
            is_old = time.monotonic() - self._since > FRESH_SECONDS
            if token is not None and token.text == text and is_old:
                self._token = None
                self._hurry.set()

    def _keep(self) -> None:
        """Fetch tokens, each before the last one expires, while somebody needs them."""
        pause = FIRST_RETRY_SECONDS
        is_failing = False
        while True:
            self._hurry.clear()
            began = time.monotonic()
            try:
                token = self._fetch()
            except Exception as error:  # noqa: BLE001 - those who wait would wait for ever
                if not self._fail(_refusal(error), is_logged=is_failing):
                    return
                is_failing = True
                self._hurry.wait(pause)
                pause = min(2 * pause, LAST_RETRY_SECONDS)
                continue
            if is_failing:
                log.info("token_renewed")
            pause, is_failing = FIRST_RETRY_SECONDS, False
            self._take(token, began)
            self._hurry.wait(max(LEAST_SECONDS, RENEW_SHARE * token.life_seconds))
            with self._lock:
                unused_seconds = time.monotonic() - self._wanted
                if unused_seconds > UNUSED_LIVES * token.life_seconds and self._first is None:
                    self._is_kept = False
                    return

    def _take(self, token: SignInToken, began: float) -> None:
        with self._lock:
            self._token, self._since, self._failed_at = token, began, None
            first, self._first = self._first, None
        if first is not None:
            first.set_result(token.text)

    def _fail(self, error: SignInRefusedError, *, is_logged: bool) -> bool:
        """Tell those who wait; return whether a good token is left, which is worth renewing."""
        with self._lock:
            token = self._token
            left = 0.0 if token is None else self._since + token.life_seconds - time.monotonic()
            if left <= 0:
                self._is_kept = False
            first, self._first = self._first, None
            self._failed_at = time.monotonic(), error
        if left > 0 and not is_logged:
            log.warning(
                "token_not_renewed",
                why=str(error),
                then=f"using the one before, which is good for {left:.0f} s; trying again",
            )
        if first is not None:
            first.set_exception(error)
        return left > 0


def _refusal(error: Exception) -> SignInRefusedError:
    """Return the error for those who wait; of a foreign one only the class may be shown."""
    if isinstance(error, SignInRefusedError):
        return error
    return SignInRefusedError(
        f"no token for Kafka: an unexpected {type(error).__name__}: this is a fault of stream-app",
        may_pass=True,
    )
