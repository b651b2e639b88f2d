"""The settings of the sign-in to Kafka, and which of them belong together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator
from pydantic_settings import NoDecode

#: An extension of RFC 7628: a name of letters, and a value without separators.
EXTENSION = re.compile(r"([A-Za-z]+)=([\x21-\x2b\x2d-\x7e]+)")
_PREFIX = "STREAM_APP_KAFKA__"
_TLS = ("SSL", "SASL_SSL")
_SASL = ("SASL_PLAINTEXT", "SASL_SSL")
#: What a mechanism without a user and a password needs, and what else it takes.
_FIELDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "OAUTHBEARER": (
        ("oauth_token_url", "oauth_client_id", "oauth_client_secret"),
        ("oauth_scope", "oauth_extensions", "oauth_cafile"),
    ),
    "AWS_MSK_IAM": (("aws_region",), ()),
}
_SASL_FIELDS = (
    *("sasl_username", "sasl_password"),
    *(name for fields in _FIELDS.values() for names in fields for name in names),
)


class SignInSettings(BaseModel):
    """Where the brokers are, and how clients and brokers prove to each other who they are."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    bootstrap_servers: str | None = Field(
        None,
        description="Brokers as `host:port,host:port`, the first to answer is used; unset: the "
        "embedded Kafka",
    )
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="How to speak to the brokers"
    )
    ssl_cafile: Path | None = Field(
        None, description="CA certificates (PEM) for `*SSL`; unset: those of the system"
    )
    ssl_certfile: Path | None = Field(
        None, description="Client certificate for `*SSL` (PEM), with those between it and the CA"
    )
    ssl_keyfile: Path | None = Field(None, description="Key of the client certificate (PEM)")
    ssl_key_password: SecretStr | None = Field(
        None, description="Password of that key, if it is encrypted"
    )
    sasl_mechanism: Literal[
        "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "AWS_MSK_IAM"
    ] = Field("PLAIN", description="How to sign in when the protocol is `SASL_*`")
    sasl_username: str | None = Field(None, description="User for `PLAIN` and `SCRAM-*`")
    sasl_password: SecretStr | None = Field(None, description="Password of that user")
    oauth_token_url: str | None = Field(
        None, description="Where `OAUTHBEARER` gets its token: an endpoint of OAuth 2.0"
    )
    oauth_client_id: str | None = Field(None, description="Client id for that endpoint")
    oauth_client_secret: SecretStr | None = Field(None, description="Secret of that client")
    oauth_scope: str | None = Field(
        None, description="Scope to ask for; several are parted by blanks"
    )
    oauth_extensions: Annotated[tuple[tuple[str, str], ...], NoDecode] = Field(
        (),
        description="Extensions for the broker, `name=value,name=value`, such as Confluent "
        "Cloud's `logicalCluster=lkc-…,identityPoolId=pool-…`",
    )
    oauth_cafile: Path | None = Field(
        None, description="CA certificates (PEM) for the token endpoint; unset: the system's"
    )
    aws_region: str | None = Field(
        None, pattern=r"^[a-z]{2,4}(-[a-z]+)+-\d{1,2}$", description="Region for `AWS_MSK_IAM`"
    )

    @field_validator("oauth_token_url")
    @classmethod
    def _check_token_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            url = urlsplit(value)
            is_good = url.scheme in {"http", "https"} and url.hostname and url.port != 0
        except ValueError:
            is_good = False
        if not is_good or not value.isascii() or not value.isprintable() or " " in value:
            raise ValueError("must be an address such as https://login.example/oauth2/token")
        if url.username is not None or url.password is not None:
            raise ValueError(
                f"must have no user and password in it: set {_PREFIX}OAUTH_CLIENT_ID and "
                f"{_PREFIX}OAUTH_CLIENT_SECRET"
            )
        return value

    @field_validator("oauth_extensions", mode="before")
    @classmethod
    def _split_extensions(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        pairs = []
        for part in filter(None, map(str.strip, value.split(","))):
            if (found := EXTENSION.fullmatch(part)) is None or found[1].lower() == "auth":
                raise ValueError("must be name=value,name=value, with names of letters")
            pairs.append((found[1], found[2]))
        return tuple(pairs)


def sign_in_problem(kafka: SignInSettings) -> str | None:
    """Return what does not go together among the settings of the sign-in; None if all does."""
    given = {name for name in SignInSettings.model_fields if getattr(kafka, name) not in {None, ()}}
    problems = (*_tls_problems(kafka, given), *_sasl_problems(kafka, given))
    return next(iter((*problems, *_text_problems(kafka, given))), None)


def _text_problems(kafka: SignInSettings, given: set[str]) -> Iterator[str]:
    """Yield what cannot be sent to a broker: a variable may hold bytes in another encoding."""
    for name in sorted(given - {"oauth_extensions"}):
        if isinstance(getattr(kafka, name), Path):  # a file's name may have any bytes
            continue
        try:
            _text(kafka, name).encode()
        except UnicodeEncodeError:
            yield f"{_name(name)}: is no UTF-8 text"


def _tls_problems(kafka: SignInSettings, given: set[str]) -> Iterator[str]:
    lost = _first(given, "ssl_certfile", "ssl_keyfile", "ssl_key_password", "ssl_cafile")
    if lost and kafka.security_protocol not in _TLS:
        place = f"{_PREFIX}SECURITY_PROTOCOL is {kafka.security_protocol}"
        yield f"{_name(lost)} is set, but {place}: set that to SASL_SSL or SSL, or unset the other"
    for one, other in (("ssl_certfile", "ssl_keyfile"), ("ssl_keyfile", "ssl_certfile")):
        if one in given and other not in given:
            yield f"{_name(one)} is set, but {_name(other)} is not: a client certificate needs both"
    if "ssl_key_password" in given and "ssl_keyfile" not in given:
        yield f"{_name('ssl_key_password')} is set, but {_name('ssl_keyfile')} is not"


def _sasl_problems(kafka: SignInSettings, given: set[str]) -> Iterator[str]:
    mechanism = kafka.sasl_mechanism
    place = f"{_PREFIX}SECURITY_PROTOCOL is {kafka.security_protocol}"
    lost = _first(given, *_SASL_FIELDS)
    if kafka.security_protocol not in _SASL:
        if lost:
            yield f"{_name(lost)} is set, but {place}: set that to SASL_SSL, or unset the other"
        return
    needed, optional = _FIELDS.get(mechanism, (("sasl_username", "sasl_password"), ()))
    place = f"{place}, and {_name('sasl_mechanism')} is {mechanism}"
    missing = [name for name in needed if name not in given or not _text(kafka, name)]
    if missing:
        yield f"{place}: set {' and '.join(map(_name, missing))}, too"
    others = [name for name in _SASL_FIELDS if name not in (*needed, *optional)]
    if lost := _first(given, *others):
        yield f"{place}: {_name(lost)} is not used then: unset it, or set another mechanism"
    if mechanism == "AWS_MSK_IAM" and kafka.security_protocol != "SASL_SSL":
        yield f"{place}, which needs TLS: set {_name('security_protocol')} to SASL_SSL"


def _first(given: set[str], *names: str) -> str | None:
    return next((name for name in names if name in given), None)


def _name(field: str) -> str:
    return f"{_PREFIX}{field.upper()}"


def _text(kafka: SignInSettings, name: str) -> str:
    value = getattr(kafka, name)
    return str(value.get_secret_value() if isinstance(value, SecretStr) else value)
