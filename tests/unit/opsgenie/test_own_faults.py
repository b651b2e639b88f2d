"""A lack of resources on this machine is reported as such, and as nobody's failure."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from pydantic import SecretStr

from stream_app.domain.delivery.own_errnos import OWN_ERRNOS, is_own
from stream_app.opsgenie.client import OpsgenieClient
from stream_app.opsgenie.destination import Destination
from stream_app.opsgenie.endpoints import resolve_endpoint
from stream_app.opsgenie.outcome import Outcome
from stream_app.setting_groups import DeliverySettings
from tests.unit.opsgenie.servers import answer, answers, serve

KEY = "00000000-1111-2222-3333-444444444444"
BODY = b'{"alias":"a","message":"m"}'
US = "https://api.opsgenie.com/v2/alerts"
GOOD = answer("202 Accepted", b'{"requestId":"r-1"}')


@contextmanager
def no_handles() -> Iterator[None]:
    """Use up all file handles of this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
    held: list[int] = []
    try:
        while True:
            try:
                held.append(os.dup(0))
            except OSError:
                break
        yield
    finally:
        for handle in held:
            os.close(handle)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def post_to_real_host(**changes: Any) -> Outcome:
    async with OpsgenieClient(DeliverySettings(connect_timeout_seconds=2, **changes)) as client:
        return await Destination(resolve_endpoint(US, None), KEY, client).post(BODY)


def refuse_connections(monkeypatch: pytest.MonkeyPatch, *errors: OSError) -> None:
    """Make the connection to each of several addresses fail with the next of the errors."""
    left = list(errors)

    async def refuse(*_: object) -> None:
        raise left.pop(0) if len(left) > 1 else left[0]

    monkeypatch.setattr("asyncio.selector_events.BaseSelectorEventLoop.sock_connect", refuse)
    found = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.0.0.{number}", 443))
        for number in range(1, len(errors) + 1)
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)


async def test_no_file_handle_is_our_own_fault_and_passes() -> None:
    async with serve(answers(GOOD)) as server, OpsgenieClient(DeliverySettings()) as client:
        with no_handles():
            outcome = await Destination(server.endpoint, KEY, client).post(BODY)
        assert (outcome.reason, outcome.status) == ("local_error", None)
        assert "Too many open files" in outcome.message
        assert "this machine cannot make the request" in outcome.message
        assert (await Destination(server.endpoint, KEY, client).post(BODY)).accepted


@pytest.mark.parametrize("proxy", [None, SecretStr("http://proxy.invalid:3128")])
async def test_no_file_handle_for_the_resolver_is_our_own_fault(proxy: SecretStr | None) -> None:
    async with OpsgenieClient(DeliverySettings(proxy_url=proxy)) as client:
        endpoint = resolve_endpoint(US, None)
        with no_handles():
            assert (await Destination(endpoint, KEY, client).post(BODY)).reason == "local_error"


@pytest.mark.parametrize("number", sorted(OWN_ERRNOS))
async def test_what_this_machine_lacks_is_our_own_fault(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_connections(monkeypatch, OSError(number, os.strerror(number)))
    outcome = await post_to_real_host()
    assert outcome.reason == "local_error"
    assert os.strerror(number) in outcome.message


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENOBUFS])
async def test_what_this_machine_lacks_is_not_the_proxys_fault(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_connections(monkeypatch, OSError(number, os.strerror(number)))
    outcome = await post_to_real_host(proxy_url=SecretStr("http://127.0.0.1:3128"))
    assert outcome.reason == "local_error"


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        (errno.ENETUNREACH, errno.EADDRNOTAVAIL, "local_error"),
        (errno.ENETUNREACH, errno.EMFILE, "local_error"),
        (errno.ENETUNREACH, errno.ECONNREFUSED, "connect_error"),
        (errno.EHOSTUNREACH, errno.ECONNREFUSED, "connect_error"),
    ],
)
async def test_of_several_addresses_all_must_fail_on_our_side(
    first: int, second: int, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_connections(monkeypatch, *(OSError(n, os.strerror(n)) for n in (first, second)))
    assert (await post_to_real_host()).reason == reason


@pytest.mark.parametrize(
    "number", [errno.ECONNREFUSED, errno.ECONNRESET, errno.EHOSTUNREACH, errno.ETIMEDOUT]
)
async def test_a_refusal_by_the_other_side_is_not_our_fault(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_connections(monkeypatch, OSError(number, os.strerror(number)))
    assert (await post_to_real_host()).reason == "connect_error"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), "local_error"),
        (socket.gaierror(socket.EAI_SYSTEM, "System error"), "local_error"),
        (socket.gaierror(socket.EAI_MEMORY, "Memory allocation failure"), "local_error"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "connect_error"),
        (MemoryError(), "local_error"),
    ],
)
async def test_a_name_service_that_does_not_answer_is_our_own_fault(
    error: BaseException, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    outcome = await post_to_real_host()
    assert outcome.reason == reason


async def test_no_thread_for_the_resolver_is_our_own_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(ThreadPoolExecutor, "submit", fail)
    assert (await post_to_real_host()).reason == "local_error"


async def test_any_other_error_of_the_run_time_is_not_hidden(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(ThreadPoolExecutor, "submit", fail)
    with pytest.raises(RuntimeError, match="a defect"):
        await post_to_real_host()


async def test_running_out_of_memory_after_the_status_does_not_undo_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("httpx_aiohttp.transport.httpx.Response", fail)
    async with serve(answers(GOOD)) as server, OpsgenieClient(DeliverySettings()) as client:
        assert (await Destination(server.endpoint, KEY, client).post(BODY)).accepted


@pytest.mark.parametrize(
    ("number", "text", "expected"),
    [
        (errno.EMFILE, "", True),
        (None, "", False),
        (None, "[Errno 101] no, [Errno 99] no", True),
        (None, "[Errno 101] no, [Errno 111] no", False),
        (0, "[Errno 24]", False),
    ],
)
def test_error_numbers_tell_whose_fault_it_is(
    number: int | None, text: str, expected: object
) -> None:
    assert is_own(number, text) is expected


def test_the_loop_of_the_tests_is_the_one_whose_connections_are_refused() -> None:
    assert issubclass(asyncio.SelectorEventLoop, asyncio.selector_events.BaseSelectorEventLoop)
