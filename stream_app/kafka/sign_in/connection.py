"""A connection to a broker: it signs in with the newest secret, and again before its session ends.

This relies on private attributes of aiokafka 0.14; the integration tests of the sign-in fail when
they change.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from aiokafka.conn import CloseReason
from aiokafka.errors import KafkaError, SaslAuthenticationFailed, for_code
from aiokafka.protocol.admin import SaslAuthenticateRequest, SaslHandShakeRequest

from stream_app.kafka.sign_in.abrupt_close import AbruptConnection
from stream_app.kafka.sign_in.causes import is_cut_off, refusal_of
from stream_app.kafka.sign_in.probes import why_cut_off
from stream_app.kafka.sign_in.refusals import REFUSALS, SignInRefusedError
from stream_app.kafka.sign_in.sign_in import SignIn

#: The share of a session after which it is renewed. Tokens are renewed before that (`tokens.py`). A
#: request must reach the broker within the rest of the session, or the broker hangs up.
RENEW_SHARE = 0.7
#: Brokers accept no second sign-in within a second. Requests wait for as long.
LEAST_SECONDS = 1.1
#: With this the client confirms that it knows why its token is refused (RFC 7628, section 3.2.3).
_READ_THE_ERROR = b"\x01"
_PROBLEMS = (OSError, EOFError, KafkaError, TimeoutError, ValueError, KeyError, AssertionError)


class Connection(AbruptConnection):
    """An aiokafka connection whose refusals say what to do."""

    def __init__(self, host: str, port: int, **options: Any) -> None:
        super().__init__(host, port, **options)
        found = self._sasl_oauth_token_provider
        self._sign_in: SignIn | None = found if isinstance(found, SignIn) else None
        self._place = f"{host}:{port}"
        #: When to sign in again, on the monotonic clock; None: never.
        self._renew_at: float | None = None
        self._signed_in_at = 0.0
        self._renewal: asyncio.Task[None] | None = None

    async def connect(self) -> Any:
        """Connect and sign in.

        Raises:
            SignInRefusedError: one side refuses the other.
            KafkaError: the connection fails for another reason; so do OSError and TimeoutError.
        """
        sign_in = self._sign_in
        if sign_in is None:
            return await super().connect()
        self._ssl_context = sign_in.context()
        self._sasl_plain_password = sign_in.password()
        try:
            found = await super().connect()
        except _PROBLEMS as error:
            refused = await self.why_refused(error)
            if refused is None:
                raise
            raise refused from error
        REFUSALS.clear(self._place)
        return found

    async def why_refused(self, error: BaseException) -> SignInRefusedError | None:
        """Return the refusal behind an error of this connection, and note it; None if none is."""
        if self._sign_in is None:
            return None
        refused = refusal_of(self._place, self._sign_in, error)
        if refused is None and is_cut_off(error):
            refused = await why_cut_off(self.host, self.port, self._sign_in)
        if refused is not None:
            REFUSALS.note(self._place, refused)
        return refused

    def send(self, request: Any, expect_response: bool = True) -> Any:  # noqa: FBT001, FBT002 - aiokafka's
        """Send a request, after the sign-in if that is due."""
        if self._renew_at is None:
            return super().send(request, expect_response)
        if self._renewal is None and time.monotonic() >= self._renew_at:
            self._renewal = asyncio.create_task(self._renew())
        if self._renewal is None:
            return super().send(request, expect_response)
        return self._send_later(self._renewal, request, expect_response)

    async def _send_later(
        self,
        renewal: asyncio.Task[None],
        request: Any,
        expect_response: bool,  # noqa: FBT001 - aiokafka's
    ) -> Any:
        # Brokers take no other request between the two of a sign-in.
        await asyncio.wait({renewal})
        return await super().send(request, expect_response)

    async def _renew(self) -> None:
        """Sign in again on the same connection; close it if that fails."""
        try:
            await asyncio.sleep(self._signed_in_at + LEAST_SECONDS - time.monotonic())
            await self._do_sasl_handshake()
        except _PROBLEMS as error:
            await self.why_refused(error)
            self.close(reason=CloseReason.AUTH_FAILURE, exc=error)
        finally:
            self._renewal = None

    async def _do_sasl_handshake(self) -> None:
        """Do what aiokafka's own does; note when the session ends, and read a token's refusal."""
        if self._sign_in is None:
            await super()._do_sasl_handshake()
            return
        self._sasl_plain_password = self._sign_in.password()
        send = super().send
        began = time.monotonic()
        answer = await send(SaslHandShakeRequest(self._sasl_mechanism))
        if answer.error_code:
            enabled = ", ".join(answer.enabled_mechanisms)
            raise for_code(answer.error_code)(f"it has enabled {enabled}" if enabled else "")
        token = ""
        if self._sasl_mechanism == "OAUTHBEARER":
            token = await self._sign_in.token()
            authenticator = self.authenticator_oauth()
        elif self._sasl_mechanism.startswith("SCRAM-"):
            authenticator = self.authenticator_scram()
        else:
            authenticator = self.authenticator_plain()
        received, lifetime_ms = None, 0
        while (step := await authenticator.step(received)) is not None:
            received, lifetime_ms = await self._exchange(step[0], token)
        if token and received:
            # What comes now is why the token is refused; the broker waits for a last word.
            await self._exchange(_READ_THE_ERROR, token)
            raise SaslAuthenticationFailed(received.decode(errors="replace"))
        self._renew_at, self._signed_in_at = None, time.monotonic()
        if lifetime_ms > 0:
            self._renew_at = began + RENEW_SHARE * lifetime_ms / 1000

    async def _exchange(self, payload: bytes, token: str) -> tuple[bytes, int]:
        """Send a part of the sign-in; return the broker's part, and its session's length in ms.

        Raises:
            SaslAuthenticationFailed: the broker refuses; a token is not used again.
        """
        answer = await super().send(SaslAuthenticateRequest(payload))
        if answer.error_code:
            if token and self._sign_in is not None:
                self._sign_in.discard(token)
            raise for_code(answer.error_code)(answer.error_message)
        return answer.sasl_auth_bytes or b"", getattr(answer, "session_lifetime_ms", 0)
