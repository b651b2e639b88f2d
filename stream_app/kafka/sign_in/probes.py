"""What kind of listener has hung up without a word: a separate connection finds out.

A listener of another kind hangs up, but so does a broker that restarts, or a load balancer with no
broker behind it. Only an answer tells them apart.
"""

from __future__ import annotations

import asyncio
import ssl

from aiokafka.errors import IllegalSaslStateError, KafkaError
from aiokafka.protocol.admin import SaslHandShakeRequest

from stream_app.kafka.sign_in import causes
from stream_app.kafka.sign_in.abrupt_close import AbruptConnection
from stream_app.kafka.sign_in.refusals import SignInRefusedError
from stream_app.kafka.sign_in.sign_in import SignIn

#: Longest time of a probe. A listener of the right kind is silent for as long.
PROBE_SECONDS = 2.0
_PROBLEMS = (OSError, EOFError, KafkaError, TimeoutError, ValueError, AssertionError)


async def why_cut_off(host: str, port: int, sign_in: SignIn) -> SignInRefusedError | None:
    """Return why a listener hangs up; None if it does not tell."""
    place = f"{host}:{port}"
    if not sign_in.is_tls:
        if await _speaks_tls(host, port):
            return SignInRefusedError(causes.speaks_tls(place, sign_in))
    else:
        if await _answers_in_the_clear(host, port):
            return SignInRefusedError(causes.no_tls(place, sign_in))
        if (error := await _tls_error(host, port, sign_in)) is not None:
            return causes.refusal_of(place, sign_in, error)
    if not sign_in.is_sasl and (mechanisms := await _mechanisms(host, port, sign_in)):
        return SignInRefusedError(causes.asks_for_sasl(place, sign_in, mechanisms))
    return None


async def _speaks_tls(host: str, port: int) -> bool:
    """Tell whether the server answers a TLS handshake, whoever it is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    error = await _handshake(host, port, context)
    return error is None or (isinstance(error, ssl.SSLError) and "ALERT" in (error.reason or ""))


async def _tls_error(host: str, port: int, sign_in: SignIn) -> ssl.SSLError | None:
    """Return what TLS says of our certificate before anything else is sent.

    If the client had sent more by then, the system would drop the alert that tells.
    """
    error = await _handshake(host, port, sign_in.context(), awaits_alert=True)
    return error if isinstance(error, ssl.SSLError) and not causes.is_cut_off(error) else None


async def _handshake(
    host: str, port: int, context: ssl.SSLContext | None, *, awaits_alert: bool = False
) -> OSError | None:
    """Return why a TLS handshake fails; an alert about the certificate comes after it."""
    writer = None
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            reader, writer = await asyncio.open_connection(host, port, ssl=context)
            if awaits_alert:
                await reader.read(1)
    except OSError as error:  # so are those of TLS, and the timeout
        return error
    finally:
        if writer is not None:
            writer.transport.abort()
    return None


async def _answers_in_the_clear(host: str, port: int) -> bool:
    """Tell whether a broker answers without TLS."""
    connection = AbruptConnection(host, port, request_timeout_ms=round(PROBE_SECONDS * 1000))
    try:
        await connection.connect()
    except _PROBLEMS:
        return False
    finally:
        connection.close()
    return True


async def _mechanisms(host: str, port: int, sign_in: SignIn) -> str:
    """Return the SASL mechanisms of a listener; nothing if it has none."""
    connection = AbruptConnection(
        host,
        port,
        request_timeout_ms=round(PROBE_SECONDS * 1000),
        ssl_context=sign_in.context(),
        security_protocol=sign_in.kafka.security_protocol,
    )
    try:
        await connection.connect()
        answer = await connection.send(SaslHandShakeRequest("PLAIN"))
    except _PROBLEMS:
        return ""
    finally:
        connection.close()
    if answer.error_code == IllegalSaslStateError.errno:
        return ""
    return ", ".join(answer.enabled_mechanisms)
