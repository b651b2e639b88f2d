"""Faust's clients sign in as all others do: with the same options.

Faust has credentials of its own, for some of the mechanisms. Its driver turns them into options of
aiokafka by a function of its module, which is replaced here. `test_faust_contract.py` fails when
the driver no longer calls it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from faust.auth import Credentials
from faust.transport.drivers import aiokafka as driver
from faust.types.auth import AuthProtocol

from stream_app.kafka.sign_in.sign_in import SignIn

_of_faust = driver.credentials_to_aiokafka_auth


class KafkaSignIn(Credentials):
    """Credentials for Faust that stand for a sign-in."""

    def __init__(self, sign_in: SignIn) -> None:
        driver.credentials_to_aiokafka_auth = _options
        self.sign_in = sign_in
        self.protocol = AuthProtocol(sign_in.kafka.security_protocol)


def _options(credentials: Any = None, ssl_context: Any = None) -> Mapping[str, Any]:
    if isinstance(credentials, KafkaSignIn):
        return credentials.sign_in.options()
    found: Mapping[str, Any] = _of_faust(credentials, ssl_context)
    return found
