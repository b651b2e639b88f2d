"""Why a connection to a broker cannot be made: one sentence that names the setting.

The wording of OpenSSL and of brokers differs by version, so codes decide wherever there are any.
"""

from __future__ import annotations

import datetime as dt
import re
import ssl

from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from stream_app.domain.foreign_text.printable import printable
from stream_app.kafka.sign_in.refusals import SignInRefusedError
from stream_app.kafka.sign_in.sign_in import SignIn
from stream_app.kafka.sign_in.tls import CA_FILE, CERTIFICATE, KEY
from stream_app.kafka.sign_in.token_endpoint import CLIENT, URL

BOOTSTRAP = "STREAM_APP_KAFKA__BOOTSTRAP_SERVERS"
PROTOCOL = "STREAM_APP_KAFKA__SECURITY_PROTOCOL"
MECHANISM = "STREAM_APP_KAFKA__SASL_MECHANISM"
USER = "STREAM_APP_KAFKA__SASL_USERNAME and STREAM_APP_KAFKA__SASL_PASSWORD"

#: Codes of OpenSSL's verification (x509_vfy.h).
_NOT_YET_VALID, _EXPIRED = 9, 10
_WRONG_NAME = (62, 63, 64)
#: TLS alerts with which a broker refuses a client's certificate, or asks for one.
_CLIENT_ALERTS = re.compile(
    "ALERT_(BAD_CERTIFICATE|CERTIFICATE_|UNSUPPORTED_CERTIFICATE|UNKNOWN_CA|HANDSHAKE_FAILURE"
    "|ACCESS_DENIED|DECRYPT_ERROR)"
)
#: What OpenSSL says of an answer that is not TLS.
_NO_TLS = re.compile("WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE|UNKNOWN_PROTOCOL|HTTP_REQUEST")
#: How many characters of a broker's own text are shown.
_MOST_TEXT = 300


def root_cause(error: BaseException) -> BaseException:
    """Return what an error of aiokafka was raised from, if it says so."""
    return error.__cause__ if isinstance(error, KafkaError) and error.__cause__ else error


def refusal_of(place: str, sign_in: SignIn, error: BaseException) -> SignInRefusedError | None:
    """Return the refusal that an error of a new connection stands for; None if it is none.

    Args:
        place: the broker's `host:port`.
        sign_in: of the connection.
        error: what aiokafka or the operating system raised.
    """
    if isinstance(error, SignInRefusedError):
        return error
    cause = root_cause(error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return SignInRefusedError(_untrusted(place, sign_in, cause))
    if isinstance(cause, ssl.SSLError) and not is_cut_off(cause):
        return SignInRefusedError(_tls_failure(place, sign_in, cause))
    text = _sasl_failure(place, sign_in, error)
    return None if text is None else SignInRefusedError(text)


def is_cut_off(error: BaseException) -> bool:
    """Tell whether the other side has only hung up, which may have any reason."""
    return isinstance(root_cause(error), EOFError | ConnectionError | ssl.SSLEOFError)


def no_tls(place: str, sign_in: SignIn) -> str:
    """Return the text for a listener that speaks no TLS."""
    protocol = sign_in.kafka.security_protocol
    other = "SASL_PLAINTEXT" if sign_in.is_sasl else "PLAINTEXT"
    return (
        f"{place} speaks no TLS, and {PROTOCOL} is {protocol}: name the port of a TLS listener in "
        f"{BOOTSTRAP}, or set {other}"
    )


def speaks_tls(place: str, sign_in: SignIn) -> str:
    """Return the text for a listener that speaks TLS to a client that does not."""
    protocol = sign_in.kafka.security_protocol
    other = "SASL_SSL" if sign_in.is_sasl else "SSL or SASL_SSL"
    return f"{place} speaks TLS, and {PROTOCOL} is {protocol}: set {other}"


def no_sasl(place: str, sign_in: SignIn) -> str:
    """Return the text for a listener at which nobody signs in by SASL."""
    other = "SSL" if sign_in.is_tls else "PLAINTEXT"
    return (
        f"{place} takes no sign-in by SASL, and {PROTOCOL} is "
        f"{sign_in.kafka.security_protocol}: set {other}, or name the port of a SASL listener"
    )


def asks_for_sasl(place: str, sign_in: SignIn, mechanisms: str) -> str:
    """Return the text for a listener that asks for a sign-in by SASL."""
    other = "SASL_SSL" if sign_in.is_tls else "SASL_PLAINTEXT"
    return (
        f"{place} asks for a sign-in by SASL ({mechanisms}), and {PROTOCOL} is "
        f"{sign_in.kafka.security_protocol}: set {other} and {MECHANISM}"
    )


def _untrusted(place: str, sign_in: SignIn, error: ssl.SSLCertVerificationError) -> str:
    now = f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC"
    begin = f"{place}: the broker's certificate"
    if error.verify_code == _EXPIRED:
        return f"{begin} has expired (this machine's clock says {now}): renew it on the broker"
    if error.verify_code == _NOT_YET_VALID:
        return f"{begin} is not valid yet (this machine's clock says {now}): set the clocks right"
    told = printable(error.verify_message)
    if error.verify_code in _WRONG_NAME:
        return (
            f"{begin} is for another name ({told}): name the brokers in {BOOTSTRAP}, and in their "
            "advertised.listeners, as their certificates do"
        )
    file = sign_in.kafka.ssl_cafile
    trusted = f"the CAs in {CA_FILE} ({file})" if file else "the system's CAs"
    step = "name the file of the broker's CA" if file else f"set {CA_FILE}"
    return f"{begin} is not signed by one of {trusted}: {told}: {step}"


def _tls_failure(place: str, sign_in: SignIn, error: ssl.SSLError) -> str:
    reason = error.reason or str(error)
    if _NO_TLS.search(reason):
        return no_tls(place, sign_in)
    if not _CLIENT_ALERTS.search(reason):
        return f"{place}: TLS fails: {printable(reason)}: {PROTOCOL} and the broker do not fit"
    if sign_in.kafka.ssl_certfile is None:
        return (
            f"{place} asks for a client certificate ({printable(reason)}): set {CERTIFICATE} and "
            f"{KEY}"
        )
    end = sign_in.tls.certificate_end() if sign_in.tls else None
    begin = f"{place} refuses the client certificate of {CERTIFICATE} ({sign_in.kafka.ssl_certfile}"
    if end is not None and end < dt.datetime.now(dt.UTC):
        return f"{begin}), which has expired on {end:%Y-%m-%d at %H:%M} UTC: renew it"
    return f"{begin}; {printable(reason)}): is it signed by a CA that the broker trusts?"


def _sasl_failure(place: str, sign_in: SignIn, error: BaseException) -> str | None:
    if isinstance(error, UnsupportedSaslMechanismError):
        return (
            f"{place} does not take {MECHANISM}={sign_in.kafka.sasl_mechanism}{_told(error)}: set "
            "one that the broker has enabled"
        )
    if isinstance(error, IllegalSaslStateError):
        return no_sasl(place, sign_in)
    if isinstance(error, SaslAuthenticationFailed):
        return _not_authenticated(place, sign_in, error)
    return None


def _not_authenticated(place: str, sign_in: SignIn, error: KafkaError) -> str:
    kafka, told = sign_in.kafka, _told(error)
    if kafka.sasl_mechanism == "AWS_MSK_IAM":
        return (
            f"{place} refuses the AWS identity{told}: it needs kafka-cluster:Connect there; check "
            "STREAM_APP_KAFKA__AWS_REGION, too"
        )
    if kafka.sasl_mechanism == "OAUTHBEARER":
        return (
            f"{place} refuses the token of {URL}{told}: check {CLIENT}, the scope and the "
            "extensions, and what the broker expects in a token"
        )
    return (
        f"{place} refuses the user {printable(kafka.sasl_username or '')} "
        f"({kafka.sasl_mechanism}){told}: check {USER}"
    )


def _told(error: KafkaError) -> str:
    """Return what the broker itself says, with a colon before it."""
    text = str(error.args[0]) if error.args and isinstance(error.args[0], str) else ""
    # The first sign-in of a connection and later ones are refused for the same reason.
    text = text.replace("re-authentication", "authentication")
    return f": {printable(text[:_MOST_TEXT])}" if text else ""
