"""The sign-in of a process: what each new connection needs, in its newest form."""

from __future__ import annotations

import os
import ssl
from functools import lru_cache
from typing import Any

from aiokafka.abc import AbstractTokenProvider
from pydantic import SecretStr

from stream_app.domain.errors import ConfigurationError
from stream_app.environment import FILE_SUFFIX, secrets_in_files
from stream_app.kafka.sign_in import aws_token, token_endpoint
from stream_app.kafka.sign_in.tls import KEY_PASSWORD, TlsFiles
from stream_app.kafka.sign_in.tokens import SignInToken, Tokens
from stream_app.setting_groups import KafkaSettings

PASSWORD = "STREAM_APP_KAFKA__SASL_PASSWORD"  # noqa: S105 - a setting's name
CLIENT_SECRET = "STREAM_APP_KAFKA__OAUTH_CLIENT_SECRET"  # noqa: S105
#: Mechanisms that carry a token; for the broker all of them are OAUTHBEARER.
TOKEN_MECHANISMS = ("OAUTHBEARER", "AWS_MSK_IAM")


class SignIn(AbstractTokenProvider):
    """Certificates, password and token. It travels through aiokafka in the provider's place.

    Raises:
        ConfigurationError: a file cannot be used, or an extra is missing.
    """

    def __init__(self, kafka: KafkaSettings) -> None:
        self.kafka = kafka
        self.is_tls = kafka.security_protocol.endswith("SSL")
        self.is_sasl = kafka.security_protocol.startswith("SASL")
        self.tls = TlsFiles(kafka, self._key_password) if self.is_tls else None
        self._tokens: Tokens | None = None
        if self.is_sasl and kafka.sasl_mechanism in TOKEN_MECHANISMS:
            self._tokens = Tokens(self._fetch)
            if kafka.sasl_mechanism == "AWS_MSK_IAM":
                aws_token.load_signer()
            else:
                token_endpoint.check_ca_file(kafka)

    @property
    def mechanism(self) -> str:
        """The mechanism as the broker knows it."""
        return "OAUTHBEARER" if self._tokens is not None else self.kafka.sasl_mechanism

    def context(self) -> ssl.SSLContext | None:
        """Return the context of a new connection; None without TLS."""
        return None if self.tls is None else self.tls.context()

    def password(self) -> str:
        """Return the password of a new connection."""
        return _newest(PASSWORD, self.kafka.sasl_password) or ""

    async def token(self) -> str:
        """Return the token of a new connection.

        Raises:
            SignInRefusedError: there is none.
        """
        return "" if self._tokens is None else await self._tokens.current()

    def discard(self, token: str) -> None:
        """Note that a broker refuses a token."""
        if self._tokens is not None:
            self._tokens.discard(token)

    def extensions(self) -> dict[str, str]:
        """Return what the broker gets beside the token."""
        return dict(self.kafka.oauth_extensions)

    def options(self) -> dict[str, Any]:
        """Return the keyword arguments of a client of aiokafka."""
        options: dict[str, Any] = {
            "security_protocol": self.kafka.security_protocol,
            "sasl_oauth_token_provider": self,
        }
        if self.is_tls:
            options["ssl_context"] = self.context()
        if self.is_sasl:
            options["sasl_mechanism"] = self.mechanism
            if self._tokens is None:
                options["sasl_plain_username"] = self.kafka.sasl_username
                options["sasl_plain_password"] = self.password()
        return options

    def _key_password(self) -> str | None:
        return _newest(KEY_PASSWORD, self.kafka.ssl_key_password)

    def _fetch(self) -> SignInToken:
        if self.kafka.sasl_mechanism == "AWS_MSK_IAM":
            return aws_token.sign_token(self.kafka.aws_region or "")
        secret = _newest(CLIENT_SECRET, self.kafka.oauth_client_secret)
        return token_endpoint.fetch_token(self.kafka, secret or "")


@lru_cache(maxsize=16)
def sign_in(kafka: KafkaSettings) -> SignIn:
    """Return the one sign-in of these settings in this process: it may keep a token.

    Raises:
        ConfigurationError: a file cannot be used, or an extra is missing.
    """
    return SignIn(kafka)


def _newest(variable: str, given: SecretStr | None) -> str | None:
    """Return a secret: that of its file as it is now, or else as it was at the start."""
    if given is None:
        return None
    file = os.environ.get(f"{variable}{FILE_SUFFIX}", "")
    if not os.path.isfile(file):  # noqa: PTH113 - also takes what no path can be
        # Among others a pipe, which can be read only once: nobody may write into it again.
        return given.get_secret_value()
    try:
        found = secrets_in_files([variable], os.environ)
    except ConfigurationError:
        found = {}
    return found.get(variable) or given.get_secret_value()
