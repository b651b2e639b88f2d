"""The bearer token: what it guards, what stays open, and how it is replaced."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from stream_app import watched_files
from stream_app.domain.errors import ConfigurationError
from stream_app.metrics import Metrics
from stream_app.setting_groups import HttpSettings
from stream_app.worker.health import Health, HealthServer
from stream_app.worker.token import TOKEN, Token
from tests.unit.worker.test_http_server import HOST, get, status

SECRET = "s3cret+/=~"
REASON = "topic acme.events.hits is away"


def token(secret: str | None = SECRET) -> Token:
    return Token(HttpSettings(token=None if secret is None else SecretStr(secret)))


@asynccontextmanager
async def serving(guard: Token, *, is_ready: bool = True) -> AsyncIterator[int]:
    metrics = Metrics("detector")
    health = Health(metrics)
    health.set_check("moving", lambda: None if is_ready else REASON)
    server = HealthServer(health, metrics, HOST, 0, token=guard)
    url = await server.start()
    try:
        yield int(url.rsplit(":", 1)[1])
    finally:
        await server.stop()


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (f"Authorization: Bearer {SECRET}", 200),
        (f"authorization:bearer   {SECRET} ", 200),
        (f"Authorization: Bearer {SECRET}x", 401),
        (f"Authorization: Bearer {SECRET[:-1]}", 401),
        (f"Authorization: Bearer {SECRET.upper()}", 401),
        (f"Authorization: {SECRET}", 401),
        (f"Authorization: Basic {SECRET}", 401),
        (f"Authorization: Bearer {SECRET} {SECRET}", 401),
        ("Authorization: Bearer", 401),
        ("Authorization: Bearer \xff\xfe", 401),
        ("Authorization:", 401),
        (f"X-Token: {SECRET}", 401),
    ],
)
async def test_only_the_token_opens_what_it_guards(header: str, expected: int) -> None:
    async with serving(token()) as port:
        for path in ("/metrics", "/readyz?verbose"):
            answer = await get(port, path, header)
            assert status(answer) == expected
            has_hint = b"\r\nWWW-Authenticate: Bearer\r\n" in answer
            assert has_hint == (expected == 401)
            assert SECRET.encode() not in answer


async def test_a_refusal_says_what_to_send() -> None:
    async with serving(token()) as port:
        body = (await get(port, "/metrics")).partition(b"\r\n\r\n")[2].decode()
    assert body == (
        "Unauthorized: the token is missing or wrong: send the header `Authorization: Bearer …` "
        f"with the value of {TOKEN}\n"
    )


@pytest.mark.parametrize("is_ready", [True, False])
async def test_probes_need_no_token_and_learn_no_reason(*, is_ready: bool) -> None:
    async with serving(token(), is_ready=is_ready) as port:
        assert status(await get(port, "/livez")) == 200
        for header in ("X: y", "Authorization: Bearer wrong"):
            answer = await get(port, "/readyz", header)
            assert status(answer) == (200 if is_ready else 503)
            assert REASON.encode() not in answer
            assert (b"the reasons need the token" in answer) == (not is_ready)
        answer = await get(port, "/readyz", f"Authorization: Bearer {SECRET}")
        assert (f"moving: {REASON}".encode() in answer) == (not is_ready)


async def test_without_a_token_all_is_open() -> None:
    async with serving(token(None), is_ready=False) as port:
        assert status(await get(port, "/metrics")) == 200
        assert REASON.encode() in await get(port, "/readyz")
        assert REASON.encode() in await get(port, "/readyz?verbose")


@pytest.mark.parametrize("secret", ["", " ", "two words", "a\nb", "schlüssel", "tab\t."])
def test_what_no_header_can_carry_is_no_token(secret: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        token(secret)
    assert str(raised.value) == (
        f"{TOKEN}: is no token: use letters, digits and signs of ASCII without spaces, "
        "such as `openssl rand -hex 32` prints"
    )


async def test_a_token_in_a_file_is_replaced_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "token"
    file.write_text(" first \r\n")
    monkeypatch.setenv(f"{TOKEN}_FILE", str(file))
    monkeypatch.setattr(watched_files, "LOOK_SECONDS", 0)
    guard = Token(HttpSettings(token=SecretStr("what the settings read at the start")))
    with capture_logs() as logs:
        assert (guard.allows("Bearer first"), guard.allows("Bearer second")) == (True, False)
        file.write_text("second")
        assert (guard.allows("Bearer first"), guard.allows("Bearer second")) == (False, True)
        file.write_text("")
        assert (guard.allows("Bearer "), guard.allows("Bearer second")) == (False, True)
        file.unlink()
        assert guard.allows("Bearer second")
    assert [line["event"] for line in logs] == [
        "files_read_again",
        "files_not_read_again",
        "files_not_read_again",
    ]
    assert "second" not in str(logs)


def test_a_file_without_a_token_is_an_error_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{TOKEN}_FILE", str(tmp_path / "gone"))
    with pytest.raises(ConfigurationError, match=f"{TOKEN}_FILE: .*gone: No such file"):
        Token(HttpSettings())
