"""What a token endpoint may answer, and what becomes of it; the endpoint is a real server."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from stream_app.kafka.sign_in import token_endpoint
from stream_app.kafka.sign_in.refusals import SignInRefusedError
from stream_app.kafka.sign_in.token_endpoint import (
    MAX_BYTES,
    MAX_SECONDS,
    USUAL_SECONDS,
    fetch_token,
)
from stream_app.setting_groups import KafkaSettings
from tests.integration.sign_in.token_server import (
    CLIENT,
    SCOPE,
    SECRET,
    Answer,
    TokenServer,
    token_server,
)

TOKEN = "fake.token-_~+/="


@pytest.fixture(scope="module")
def server() -> Iterator[TokenServer]:
    with token_server() as found:
        yield found


def settings(server: TokenServer) -> KafkaSettings:
    return KafkaSettings.model_validate(
        {
            "oauth_token_url": server.url,
            "oauth_client_id": CLIENT,
            "oauth_client_secret": SECRET,
            "oauth_scope": SCOPE,
        }
    )


def given(body: object, status: int = 200) -> Callable[[], Answer]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda: (status, content)


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        (3600, 3600.0),
        ("3600", 3600.0),
        (1.5, 1.5),
        (10**12, MAX_SECONDS),
        (10**400, USUAL_SECONDS),
        (0, USUAL_SECONDS),
        (-5, USUAL_SECONDS),
        ("soon", USUAL_SECONDS),
        ("nan", USUAL_SECONDS),
        ("inf", MAX_SECONDS),
        (True, USUAL_SECONDS),
        (None, USUAL_SECONDS),
        ([1], USUAL_SECONDS),
    ],
)
def test_a_token_has_the_life_that_the_answer_tells_if_it_makes_sense(
    server: TokenServer, told: object, seconds: float
) -> None:
    server.answer = given({"access_token": TOKEN, "expires_in": told})
    found = fetch_token(settings(server), SECRET)
    assert (found.text, found.life_seconds) == (TOKEN, seconds)


def test_the_request_is_that_of_the_standard(server: TokenServer) -> None:
    server.answer = None
    found = fetch_token(settings(server), SECRET)
    assert found.text == server.tokens[-1]
    assert server.requests[-1] == {
        "grant_type": "client_credentials",
        "scope": SCOPE,
        "client": CLIENT,
        "secret": SECRET,
    }


@pytest.mark.parametrize(
    ("answer", "part", "may_pass"),
    [
        (given(b"<html>"), "no JSON object", False),
        (given(b""), "no JSON object", False),
        (given(b"[" * 100_000), "no JSON object", False),
        (given([TOKEN]), "no JSON object", False),
        (given({"token": TOKEN}), "no access_token", False),
        (given({"access_token": 7}), "no access_token", False),
        (given({"access_token": ""}), "no access_token", False),
        (given({"access_token": "a\x01auth=b"}), "no access_token", False),
        (given({"access_token": "ä"}), "no access_token", False),
        (given(b"x" * (MAX_BYTES + 1)), "longer than 256 KiB", False),
        (given({"error": "invalid_scope"}, 400), "answers 400: invalid_scope: check", False),
        (given({"error": ["x"]}, 403), "answers 403: check", False),
        (given({"error": "a\x1b[31m\nb"}, 401), "answers 401: a\\x1b[31m", False),
        (given(b"", 302), "redirects are not followed", False),
        (given(TOKEN, 500), "answers 500: is the endpoint well?", True),
        (given(b"", 503), "answers 503", True),
        (given(b"", 429), "answers 429", True),
    ],
)
def test_an_answer_that_gives_no_token_is_told_in_one_line(
    server: TokenServer, answer: Callable[[], Answer], part: str, *, may_pass: bool
) -> None:
    server.answer = answer
    before = len(server.requests)
    with pytest.raises(SignInRefusedError) as caught:
        fetch_token(settings(server), SECRET)
    line = str(caught.value)
    assert line.startswith(f"STREAM_APP_KAFKA__OAUTH_TOKEN_URL: {server.url}: ")
    assert part in line
    assert line.isprintable()
    assert TOKEN not in line
    assert SECRET not in line
    assert caught.value.may_pass is may_pass
    assert len(server.requests) == before + 1


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_an_endpoint_that_is_not_there_may_come_back(host: str) -> None:
    away = KafkaSettings(oauth_token_url=f"http://{host}:1/token", oauth_client_id=CLIENT)
    with pytest.raises(SignInRefusedError, match="no token: Connection refused: is") as caught:
        fetch_token(away, SECRET)
    assert caught.value.may_pass


@pytest.mark.parametrize("begin", [b"X: ", b"Content-Length: 100000\r\n\r\n"], ids=["head", "body"])
def test_an_endpoint_that_sends_a_byte_now_and_then_is_left_in_time(
    begin: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_endpoint, "REQUEST_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        is_left = threading.Event()

        def drip() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                try:
                    connection.sendall(b"HTTP/1.1 200 OK\r\n" + begin)
                    for _ in range(400):  # 20 s, if nobody hangs up
                        connection.sendall(b" ")
                        is_left.wait(0.05)
                except OSError:
                    is_left.set()

        thread = threading.Thread(target=drip)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/token"
        dripping = KafkaSettings(oauth_token_url=url, oauth_client_id=CLIENT)
        with pytest.raises(SignInRefusedError, match="no answer in time") as caught:
            fetch_token(dripping, SECRET)
        thread.join()
    assert caught.value.may_pass
    assert is_left.is_set()
