"""Tokens are renewed ahead of their end, outside of the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from stream_app.kafka.sign_in.refusals import SignInRefusedError
from stream_app.kafka.sign_in.tokens import SignInToken, Tokens


class Endpoint:
    """Gives tokens `1`, `2`, …, as long as it is well."""

    def __init__(self, life_seconds: float) -> None:
        self.life_seconds = life_seconds
        self.asked = 0
        self.is_well = True
        self.threads: set[int] = set()

    def fetch(self) -> SignInToken:
        self.asked += 1
        self.threads.add(threading.get_ident())
        if not self.is_well:
            raise SignInRefusedError("no token", may_pass=True)
        return SignInToken(str(self.asked), self.life_seconds)


async def until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not reached():  # noqa: ASYNC110 - another thread
            await asyncio.sleep(0.01)


async def current(tokens: Tokens) -> str | None:
    try:
        return await tokens.current()
    except SignInRefusedError:
        return None


async def test_one_token_is_fetched_for_all_who_wait_and_for_those_after_them() -> None:
    endpoint = Endpoint(3600)
    tokens = Tokens(endpoint.fetch)
    assert await asyncio.gather(*(tokens.current() for _ in range(5))) == ["1"] * 5
    assert await tokens.current() == "1"
    assert endpoint.asked == 1
    assert threading.get_ident() not in endpoint.threads


async def test_a_token_is_renewed_before_it_ends() -> None:
    endpoint = Endpoint(1.0)
    tokens = Tokens(endpoint.fetch)
    assert await tokens.current() == "1"
    await until(lambda: endpoint.asked >= 2)
    endpoint.life_seconds = 3600
    await until(lambda: endpoint.asked >= 3)
    assert await tokens.current() == "3"


async def test_a_good_token_is_used_while_the_endpoint_is_away() -> None:
    endpoint = Endpoint(1.5)
    tokens = Tokens(endpoint.fetch)
    assert await tokens.current() == "1"
    endpoint.is_well = False
    await until(lambda: endpoint.asked >= 2)
    async with asyncio.timeout(60):
        while (found := await current(tokens)) is not None:
            assert found == "1"
            await asyncio.sleep(0.01)
    endpoint.is_well = True
    async with asyncio.timeout(60):
        while (found := await current(tokens)) is None:  # noqa: ASYNC110 - another thread
            await asyncio.sleep(0.05)
    assert int(found) > 2


async def test_a_failure_is_not_repeated_at_once_for_each_connection() -> None:
    endpoint = Endpoint(3600)
    endpoint.is_well = False
    tokens = Tokens(endpoint.fetch)
    for _ in range(20):
        with pytest.raises(SignInRefusedError):
            await tokens.current()
    assert endpoint.asked <= 3


async def test_an_error_that_nobody_has_expected_reaches_those_who_wait() -> None:
    def fetch() -> SignInToken:
        raise KeyError("secret")

    with pytest.raises(SignInRefusedError, match="unexpected KeyError") as caught:
        await asyncio.wait_for(Tokens(fetch).current(), 60)
    assert "secret" not in str(caught.value)
