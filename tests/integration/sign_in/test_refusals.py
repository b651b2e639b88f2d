"""What brokers and token endpoints refuse: one line that names the setting, and exit code 4."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psutil
import pytest

from stream_app.domain.configuration.kinds import Kind
from stream_app.domain.errors import KafkaRefusedError, StreamAppError
from stream_app.kafka.cluster.admin import list_topics
from stream_app.kafka.configuration.records import read_stored, write_records
from tests.integration.harness import WorkerProcess
from tests.integration.sign_in.place import Place
from tests.integration.sign_in.settings import (
    bearer,
    certified,
    plain,
    scram,
    settings_at,
    tls,
    variables,
)
from tests.tls.authority import Authority

WRONG = "fake-wrong-word"
Given = Callable[[Place], dict[str, Any]]


def stranger(place: Place) -> dict[str, Any]:
    """Return a certificate of an authority that the broker does not know."""
    pair = Authority(place.folder, "stranger").pair("worker")
    return tls(place, ssl_certfile=pair.certfile, ssl_keyfile=pair.keyfile)


ACCEPTED: dict[str, tuple[str, Given]] = {
    "TLS": ("TLS", tls),
    "a client certificate": ("MUTUAL", certified),
    "PLAIN": ("PLAIN", lambda _: plain()),
    "SCRAM-SHA-256": ("MUTUALSCRAM", lambda p: scram(p, "SCRAM-SHA-256")),
    "SCRAM-SHA-512": ("MUTUALSCRAM", scram),
    "OAUTHBEARER": ("BEARER", bearer),
}

#: Listener, settings, and what the line must name.
REFUSED: dict[str, tuple[str, Given, tuple[str, ...]]] = {
    "wrong CA": (
        "TLS",
        lambda p: tls(p, ssl_cafile=Authority(p.folder, "other").path),
        ("not signed by one of the CAs", "SSL_CAFILE", "other.pem"),
    ),
    "no CA": ("TLS", lambda _: {"security_protocol": "SSL"}, ("the system's CAs", "SSL_CAFILE")),
    "expired server certificate": ("EXPIRED", tls, ("broker's certificate has expired",)),
    "other name": (
        "OTHERNAME",
        tls,
        ("is for another name", "STREAM_APP_KAFKA__BOOTSTRAP_SERVERS", "advertised.listeners"),
    ),
    "no client certificate": (
        "MUTUAL",
        tls,
        ("asks for a client certificate", "SSL_CERTFILE", "SSL_KEYFILE"),
    ),
    "expired client certificate": (
        "MUTUAL",
        lambda p: certified(p, is_expired=True),
        ("SSL_CERTFILE", "which has expired on"),
    ),
    "client certificate of a stranger": (
        "MUTUAL",
        stranger,
        ("SSL_CERTFILE", "a CA that the broker trusts"),
    ),
    "plaintext to TLS": ("TLS", lambda _: {}, ("speaks TLS", "PROTOCOL is PLAINTEXT", "set SSL")),
    "TLS to plaintext": (
        "PLAINTEXT",
        tls,
        ("speaks no TLS", "SECURITY_PROTOCOL is SSL", "set PLAINTEXT"),
    ),
    "plaintext to SASL": ("PLAIN", lambda _: {}, ("asks for a sign-in by SASL (PLAIN)",)),
    "TLS to SASL over TLS": ("BEARER", tls, ("SASL (OAUTHBEARER)", "SECURITY_PROTOCOL is SSL")),
    "SASL to plaintext": ("PLAINTEXT", lambda _: plain(), ("takes no sign-in by SASL",)),
    "wrong password": (
        "PLAIN",
        lambda _: plain(password=WRONG),
        ("refuses the user alice (PLAIN)", "SASL_USERNAME", "SASL_PASSWORD"),
    ),
    "unknown user": (
        "PLAIN",
        lambda _: plain() | {"sasl_username": "bob"},
        ("refuses the user bob (PLAIN)", "SASL_USERNAME"),
    ),
    "wrong password of SCRAM": (
        "MUTUALSCRAM",
        lambda p: scram(p, sasl_password=WRONG),
        ("refuses the user scram (SCRAM-SHA-512)", "SASL_PASSWORD"),
    ),
    "disabled mechanism": (
        "PLAIN",
        lambda _: plain() | {"sasl_mechanism": "SCRAM-SHA-256"},
        ("SASL_MECHANISM=SCRAM-SHA-256", "it has enabled PLAIN"),
    ),
    "wrong client secret": (
        "BEARER",
        lambda p: bearer(p, oauth_client_secret=WRONG),
        ("OAUTH_TOKEN_URL", "answers 401: invalid_client", "OAUTH_CLIENT_SECRET"),
    ),
    "no token endpoint": (
        "BEARER",
        lambda p: bearer(p, oauth_token_url="http://127.0.0.1:1/token"),
        ("OAUTH_TOKEN_URL", "http://127.0.0.1:1/token", "is the endpoint up"),
    ),
    "no rights": (
        "PLAIN",
        lambda _: plain("limited"),
        ("the user lacks Describe on topic", "deploy/acls.md"),
    ),
}


def connections_to(place: Place, listener: str) -> list[object]:
    """Return what this process has open with a listener."""
    port = int(place.addresses[listener].rpartition(":")[2])
    found = psutil.Process().net_connections("tcp")
    return [one for one in found if one.raddr and one.raddr.port == port]


@pytest.mark.parametrize("name", ACCEPTED)
async def test_a_client_signs_in(place: Place, name: str) -> None:
    listener, given = ACCEPTED[name]
    assert await list_topics(settings_at(place, listener, given(place)))


@pytest.mark.parametrize("name", REFUSED)
async def test_a_refusal_names_the_setting(place: Place, name: str) -> None:
    listener, given, parts = REFUSED[name]
    settings = settings_at(place, listener, given(place))
    with pytest.raises(StreamAppError) as caught:
        await list_topics(settings)
    line = str(caught.value)
    assert caught.value.exit_code == 4
    assert "\n" not in line
    assert "is the broker up" not in line
    assert [part for part in parts if part not in line] == []
    assert connections_to(place, listener) == []
    # Of a consumer, too.
    with pytest.raises(KafkaRefusedError if name != "no token endpoint" else StreamAppError):
        await read_stored(settings)
    assert connections_to(place, listener) == []
    assert WRONG not in line


async def test_a_broker_that_is_refused_after_the_first_answer_is_named_at_once(
    place: Place,
) -> None:
    """The first address is right, and the one that the broker tells is not."""
    port = place.addresses["MOVED"].partition(":")[2]
    settings = settings_at(place, "MOVED", tls(place, bootstrap_servers=f"127.0.0.1:{port}"))
    line = f"localhost:{port}: the broker's certificate is for another name"
    for read in (list_topics, read_stored):
        with pytest.raises(KafkaRefusedError) as caught:
            await read(settings)
        assert line in str(caught.value)
    with pytest.raises(KafkaRefusedError) as caught:
        await write_records(settings, [(Kind.CLIENT, 1, {})], actor="test")
    assert line in str(caught.value)


async def test_a_token_that_the_broker_does_not_take_is_named(place: Place) -> None:
    other = place.tokens.signed(60, aud="other-brokers")
    place.tokens.answer = lambda: (200, f'{{"access_token": "{other}"}}'.encode())
    try:
        with pytest.raises(KafkaRefusedError) as caught:
            await list_topics(settings_at(place, "BEARER", bearer(place, oauth_scope="other")))
    finally:
        place.tokens.answer = None
    assert "refuses the token of STREAM_APP_KAFKA__OAUTH_TOKEN_URL" in str(caught.value)
    assert other not in str(caught.value)


async def test_amazon_s_identity_reaches_a_broker(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reaches a broker as a bearer's token; only Amazon's own brokers can check it."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    given = tls(place) | {"security_protocol": "SASL_SSL", "sasl_mechanism": "AWS_MSK_IAM"}
    first = settings_at(place, "BEARER", given | {"aws_region": "eu-west-1"})
    with pytest.raises(StreamAppError, match="no AWS credentials can be used"):
        await list_topics(first)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAFAKEFAKEFAKEFAKE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "fake-aws-secret")
    second = settings_at(place, "BEARER", given | {"aws_region": "eu-west-2"})
    with pytest.raises(KafkaRefusedError, match=r"refuses the AWS identity.*kafka-cluster:Connect"):
        await list_topics(second)


@pytest.mark.parametrize(
    "args",
    [
        ("status",),
        ("topics", "create"),
        ("doctor",),
        ("validate", "events.hits"),
        ("sample", "--topic", "events.hits", "--count", "1"),
        ("apply", "-f", "objects.json"),
        ("worker", "detector"),
        ("worker", "notifier"),
    ],
)
def test_commands_and_workers_end_with_4_and_the_line(
    place: Place, args: tuple[str, ...], tmp_path: Any
) -> None:
    file = tmp_path / "objects.json"
    file.write_text('{"client_id": 1, "name": "Acme", "cloud": "EU"}')
    args = tuple(str(file) if arg == "objects.json" else arg for arg in args)
    settings = settings_at(place, "PLAIN", plain(password=WRONG))
    # At this level aiokafka would log what it sends, with the password in it.
    env = variables(settings) | {"STREAM_APP_LOG__LEVEL": "debug"}
    done = WorkerProcess.command(settings, *args, **env)
    told = [line for line in (done.stdout + done.stderr).splitlines() if "refuses the user" in line]
    assert done.returncode == 4, done.stdout + done.stderr
    assert len(told) == 1, done.stdout + done.stderr
    assert "SASL_PASSWORD" in told[0]
    assert WRONG not in done.stdout + done.stderr
