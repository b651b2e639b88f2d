"""The settings of a client for each way to sign in at the place of these tests."""

from __future__ import annotations

import uuid
from typing import Any

from pydantic import SecretStr

from stream_app.settings import Settings
from tests.integration.sign_in.place import USERS, Place
from tests.integration.sign_in.token_server import CLIENT, SCOPE, SECRET

SCRAM_PASSWORD = "fake-scram-word"


def tls(place: Place, **more: Any) -> dict[str, Any]:
    return {"security_protocol": "SSL", "ssl_cafile": place.authority.path, **more}


def certified(place: Place, name: str = "worker", **more: Any) -> dict[str, Any]:
    pair = place.client_pair(name, **more)
    return tls(place, ssl_certfile=pair.certfile, ssl_keyfile=pair.keyfile)


def plain(user: str = "alice", password: str | None = None) -> dict[str, Any]:
    return {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_username": user,
        "sasl_password": USERS[user] if password is None else password,
    }


def scram(place: Place, mechanism: str = "SCRAM-SHA-512", **more: Any) -> dict[str, Any]:
    return certified(place) | {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": mechanism,
        "sasl_username": "scram",
        "sasl_password": SCRAM_PASSWORD,
        **more,
    }


def bearer(place: Place, **more: Any) -> dict[str, Any]:
    return tls(place) | {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "OAUTHBEARER",
        "oauth_token_url": place.tokens.url,
        "oauth_client_id": CLIENT,
        "oauth_client_secret": SECRET,
        "oauth_scope": SCOPE,
        **more,
    }


def settings_at(place: Place, listener: str, given: dict[str, Any], **more: Any) -> Settings:
    """Return the settings of a client that signs in at a listener."""
    kafka = {"bootstrap_servers": place.addresses[listener], **given}
    prefix = {"topic_prefix": f"t{uuid.uuid4().hex[:10]}.", "partitions": 2}
    return Settings.model_validate({"kafka": kafka, **prefix, **more})


def variables(settings: Settings) -> dict[str, str]:
    """Return the environment of a process that signs in so."""
    found = settings.kafka.model_dump(exclude_defaults=True)
    texts = {
        name: value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        for name, value in found.items()
    }
    return {f"STREAM_APP_KAFKA__{name.upper()}": text for name, text in texts.items()}
