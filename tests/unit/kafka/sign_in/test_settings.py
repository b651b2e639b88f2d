"""Which settings of the sign-in to Kafka go together, and what is said of those that do not."""

from __future__ import annotations

import pytest

from stream_app.domain.errors import ConfigurationError
from stream_app.settings import load_settings

SECRET = "fake-secret-not-real"
PLAIN = {
    "SECURITY_PROTOCOL": "SASL_SSL",
    "SASL_USERNAME": "bo",
    "SASL_PASSWORD": SECRET,
}
BEARER = {
    "SECURITY_PROTOCOL": "SASL_SSL",
    "SASL_MECHANISM": "OAUTHBEARER",
    "OAUTH_TOKEN_URL": "https://login.example/token",
    "OAUTH_CLIENT_ID": "worker",
    "OAUTH_CLIENT_SECRET": SECRET,
}
AWS = {"SECURITY_PROTOCOL": "SASL_SSL", "SASL_MECHANISM": "AWS_MSK_IAM", "AWS_REGION": "eu-west-1"}
PAIR = {"SECURITY_PROTOCOL": "SSL", "SSL_CERTFILE": "a.crt", "SSL_KEYFILE": "a.key"}


def without(given: dict[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in given.items() if key != name}


def load(monkeypatch: pytest.MonkeyPatch, given: dict[str, str]) -> None:
    for name, value in given.items():
        monkeypatch.setenv(f"STREAM_APP_KAFKA__{name}", value)
    load_settings()


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"SECURITY_PROTOCOL": "SSL"},
        {"SECURITY_PROTOCOL": "SSL", "SSL_CAFILE": "ca.pem"},
        PAIR,
        PAIR | {"SSL_KEY_PASSWORD": SECRET},
        PLAIN,
        PLAIN
        | {"SASL_MECHANISM": "SCRAM-SHA-512", "SSL_CERTFILE": "a.crt", "SSL_KEYFILE": "a.key"},
        BEARER,
        BEARER | {"OAUTH_SCOPE": "a b", "OAUTH_EXTENSIONS": "logicalCluster=lkc-1, x=a=b"},
        AWS,
        AWS | {"AWS_REGION": "us-gov-west-1"},
    ],
)
def test_settings_that_go_together_are_taken(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str]
) -> None:
    load(monkeypatch, given)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"SASL_USERNAME": "bo"}, ["SASL_USERNAME", "SECURITY_PROTOCOL"]),
        ({"SSL_CAFILE": "ca.pem"}, ["SSL_CAFILE", "SECURITY_PROTOCOL"]),
        (PLAIN | {"SECURITY_PROTOCOL": "SSL"}, ["SASL_USERNAME", "SECURITY_PROTOCOL"]),
        (PLAIN | {"SECURITY_PROTOCOL": "TLS"}, ["SECURITY_PROTOCOL"]),
        (PLAIN | {"SASL_MECHANISM": "GSSAPI"}, ["SASL_MECHANISM"]),
        (PLAIN | {"SECURITY_PROTOCOL": "SASL_PLAINTEXT", "SSL_CAFILE": "x"}, ["SSL_CAFILE"]),
        (without(PLAIN, "SASL_USERNAME"), ["SASL_USERNAME", "SASL_MECHANISM"]),
        (PLAIN | {"SASL_USERNAME": ""}, ["SASL_USERNAME"]),
        (PLAIN | {"SASL_PASSWORD": ""}, ["SASL_PASSWORD"]),
        (PLAIN | {"SASL_USERNAME": "b\udcf6"}, ["SASL_USERNAME: is no UTF-8"]),
        (PLAIN | {"SASL_PASSWORD": f"{SECRET}\udcf6"}, ["SASL_PASSWORD: is no UTF-8"]),
        (PLAIN | {"OAUTH_SCOPE": "x"}, ["OAUTH_SCOPE", "SASL_MECHANISM is PLAIN"]),
        (without(PAIR, "SSL_KEYFILE"), ["SSL_CERTFILE", "SSL_KEYFILE"]),
        (without(PAIR, "SSL_CERTFILE"), ["SSL_CERTFILE", "SSL_KEYFILE"]),
        (
            {"SECURITY_PROTOCOL": "SSL", "SSL_KEY_PASSWORD": SECRET},
            ["SSL_KEY_PASSWORD", "SSL_KEYFILE"],
        ),
        (without(BEARER, "OAUTH_TOKEN_URL"), ["OAUTH_TOKEN_URL", "OAUTHBEARER"]),
        (without(BEARER, "OAUTH_CLIENT_SECRET"), ["OAUTH_CLIENT_SECRET"]),
        (BEARER | {"SASL_USERNAME": "bo"}, ["SASL_USERNAME", "OAUTHBEARER"]),
        (BEARER | {"OAUTH_TOKEN_URL": "login.example/token"}, ["OAUTH_TOKEN_URL"]),
        (BEARER | {"OAUTH_TOKEN_URL": "https://a:b@login.example"}, ["OAUTH_TOKEN_URL"]),
        (BEARER | {"OAUTH_TOKEN_URL": "https://login.example:port/"}, ["OAUTH_TOKEN_URL"]),
        (BEARER | {"OAUTH_EXTENSIONS": "auth=x"}, ["OAUTH_EXTENSIONS"]),
        (BEARER | {"OAUTH_EXTENSIONS": "a=b\x01c=d"}, ["OAUTH_EXTENSIONS"]),
        (without(AWS, "AWS_REGION"), ["AWS_REGION"]),
        (AWS | {"AWS_REGION": "x/../y"}, ["AWS_REGION"]),
        (AWS | {"SECURITY_PROTOCOL": "SASL_PLAINTEXT"}, ["SECURITY_PROTOCOL", "SASL_SSL"]),
    ],
)
def test_settings_that_do_not_go_together_are_named(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], named: list[str]
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(monkeypatch, given)
    assert "\n" not in str(caught.value)
    assert SECRET not in str(caught.value)
    for name in named:
        assert name in str(caught.value)
