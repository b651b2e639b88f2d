"""Client credentials of OAuth 2.0 (RFC 6749, section 4.4): a token for a client id and its secret.

The endpoint's answer is a stranger's: it is bounded in size and time, no redirect is followed, and
an error shows what the endpoint calls it, never the answer itself, which may hold a token.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import ssl
from base64 import b64encode
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote_plus

import httpx

from stream_app.domain.errors import ConfigurationError, error_text
from stream_app.domain.foreign_text.printable import printable
from stream_app.kafka.sign_in.refusals import SignInRefusedError
from stream_app.kafka.sign_in.tokens import SignInToken
from stream_app.sign_in_settings import SignInSettings
from stream_app.tls_files import trusting

URL = "STREAM_APP_KAFKA__OAUTH_TOKEN_URL"
CLIENT = "STREAM_APP_KAFKA__OAUTH_CLIENT_ID and STREAM_APP_KAFKA__OAUTH_CLIENT_SECRET"
CA_FILE = "STREAM_APP_KAFKA__OAUTH_CAFILE"

#: Longest time of a request, and of each of its steps. A command gives up after 10 s: it would say
#: that Kafka is away if the endpoint could take as long.
REQUEST_SECONDS, STEP_SECONDS = 8.0, 5.0
#: Longest answer. Brokers take no token over 512 KiB, and usual ones have 2.
MAX_BYTES = 256 * 1024
#: The life of a token whose answer gives none that makes sense (RFC 6749 only recommends it).
USUAL_SECONDS, MAX_SECONDS = 300.0, 24 * 3600.0
#: The characters of a token (RFC 6750, section 2.1). Others could end a field of the sign-in.
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
#: Answers after which it makes sense to ask again.
_PASSING = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)
_MOST_TEXT = 200


def check_ca_file(kafka: SignInSettings) -> ssl.SSLContext:
    """Return the context for the token endpoint.

    Raises:
        ConfigurationError: its CA file cannot be read.
    """
    return trusting(CA_FILE, kafka.oauth_cafile)


def fetch_token(kafka: SignInSettings, secret: str) -> SignInToken:
    """Ask the endpoint for a token; this blocks for up to `REQUEST_SECONDS`.

    Raises:
        SignInRefusedError: there is none.
    """
    place = f"{URL}: {kafka.oauth_token_url}"
    form = {"grant_type": "client_credentials"}
    if kafka.oauth_scope:
        form["scope"] = kafka.oauth_scope
    try:
        context = check_ca_file(kafka)
        authorization = _basic(kafka.oauth_client_id or "", secret)
        status, body = asyncio.run(
            _answer(kafka.oauth_token_url or "", form, authorization, context)
        )
    except ConfigurationError as error:
        raise SignInRefusedError(str(error)) from None
    except httpx.HTTPError as error:
        raise _no_answer(place, error) from None
    except (ValueError, httpx.InvalidURL) as error:
        raise SignInRefusedError(f"{place}: {printable(error_text(error))}") from None
    if body is None:
        raise SignInRefusedError(f"{place}: its answer is longer than {MAX_BYTES // 1024} KiB")
    if status != HTTPStatus.OK:
        raise _refusal(place, status, body)
    return _token(place, body)


def _basic(client: str, secret: str) -> str:
    """Return the header's value; both parts are encoded as in a form (RFC 6749, section 2.3.1)."""
    text = f"{quote_plus(client)}:{quote_plus(secret)}"
    return f"Basic {b64encode(text.encode()).decode()}"


async def _answer(
    url: str, form: Mapping[str, str], authorization: str, context: ssl.SSLContext
) -> tuple[int, bytes | None]:
    """Return the answer's status, and its body; None if that is too long.

    The steps of httpx have limits of their own, which an endpoint that sends a byte now and then
    never reaches. Only in an event loop can all of them together have one.

    Raises:
        httpx.HTTPError: there is no answer, or it takes too long.
    """
    headers = {"Authorization": authorization, "Accept": "application/json"}
    body = b""
    try:
        async with (
            asyncio.timeout(REQUEST_SECONDS),
            httpx.AsyncClient(verify=context, timeout=STEP_SECONDS, trust_env=False) as client,
            client.stream("POST", url, data=form, headers=headers) as response,
        ):
            async for part in response.aiter_bytes():
                body += part
                if len(body) > MAX_BYTES:
                    return response.status_code, None
            return response.status_code, body
    except TimeoutError:
        raise httpx.ReadTimeout("") from None


def _no_answer(place: str, error: httpx.HTTPError) -> SignInRefusedError:
    """Return the error for an endpoint that cannot be asked."""
    causes = [*_causes(error)]
    untrusted = next((one for one in causes if isinstance(one, ssl.SSLCertVerificationError)), None)
    if untrusted is not None:
        text = f"{place}: its certificate is not trusted: {untrusted.verify_message}: set {CA_FILE}"
        return SignInRefusedError(text)
    # What httpx and asyncio say of a refused connection is only that it failed.
    why = next(filter(None, map(_told, causes)), str(error))
    if isinstance(error, httpx.TimeoutException):
        why = "no answer in time"
    text = f"{place}: no token: {printable(why) or type(error).__name__}: is the endpoint up?"
    return SignInRefusedError(text, may_pass=True)


def _told(error: BaseException) -> str | None:
    """Return what an error says if it is one of the system, of TLS or of the name's resolution."""
    if not isinstance(error, OSError) or error.errno is None:
        return None
    is_other = isinstance(error, ssl.SSLError | socket.gaierror)
    return str(error) if is_other else os.strerror(error.errno)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        else:
            error = error.__cause__ or error.__context__


def _refusal(place: str, status: int, body: bytes) -> SignInRefusedError:
    """Return the error for an answer that is no success (RFC 6749, section 5.2)."""
    found = _object(body) or {}
    named = (found.get("error"), found.get("error_description"))
    told = ": ".join(printable(text[:_MOST_TEXT]) for text in named if isinstance(text, str))
    text = f"{place}: answers {status}" + (f": {told}" if told else "")
    may_pass = status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _PASSING
    if 300 <= status < 400:  # noqa: PLR2004 - HTTP
        return SignInRefusedError(f"{text}: redirects are not followed: name the endpoint itself")
    step = "is the endpoint well?" if may_pass else f"check {CLIENT}, and the scope"
    return SignInRefusedError(f"{text}: {step}", may_pass=may_pass)


def _token(place: str, body: bytes) -> SignInToken:
    found = _object(body)
    if found is None:
        raise SignInRefusedError(f"{place}: its answer is no JSON object: is it a token endpoint?")
    text = found.get("access_token")
    if not isinstance(text, str) or not _TOKEN.fullmatch(text):
        raise SignInRefusedError(f"{place}: its answer has no access_token that can be used")
    return SignInToken(text, _life_seconds(found.get("expires_in")))


def _object(body: bytes) -> Mapping[str, Any] | None:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _life_seconds(value: object) -> float:
    """Return the life of a token; some endpoints give it as text, and some none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return USUAL_SECONDS
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return USUAL_SECONDS
    # Comparing with NaN is false.
    return min(seconds, MAX_SECONDS) if seconds > 0 else USUAL_SECONDS
