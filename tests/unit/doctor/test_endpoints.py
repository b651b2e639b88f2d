"""The doctor reaches hosts on the way that alerts take: through the proxy, without a key."""

from __future__ import annotations

import socket
from pathlib import Path

from stream_app.doctor.check import CheckStatus
from stream_app.doctor.configuration import reach_hosts
from stream_app.domain.configuration.integrations import Integration
from stream_app.settings import Settings
from tests.unit.opsgenie.proxies import proxy
from tests.unit.opsgenie.servers import answer, answers
from tests.unit.opsgenie.test_network import (
    EU,
    IN_URL,
    KEY,
    PASSWORD,
    TOKEN,
    US,
    port_of,
    service,
    settings,
)


def integration(number: int, api: str) -> Integration:
    return Integration(number, 1111, "On-call", True, "opsgenie", api, KEY, ())


async def test_each_host_is_asked_once_through_the_proxy_without_a_key(tmp_path: Path) -> None:
    refused = answers(answer("401 Unauthorized", b"{}"))
    async with (
        service(tmp_path, refused) as (server, ca_file),
        proxy(port_of(server.endpoint)) as way,
    ):
        delivery = settings(way.port, auth=IN_URL, ca_file=ca_file)
        apis = (US, EU, US)
        those = [integration(number, api) for number, api in enumerate(apis, 521)]
        findings = await reach_hosts(Settings(delivery=delivery), those)
    assert [(one.check, one.verdict) for one in findings] == [("endpoints", CheckStatus.OK)] * 2
    for finding, host in zip(findings, ("api.opsgenie.com", "api.eu.opsgenie.com"), strict=True):
        assert finding.text.startswith(f"{host} answers (HTTP 401 after ")
        assert finding.text.endswith("name, connection and TLS are well, through the proxy")
    assert [head.split()[1] for head in way.heads] == [
        b"api.opsgenie.com:443",
        b"api.eu.opsgenie.com:443",
    ]
    assert len(server.requests) == 2
    for request in server.requests:
        assert request.startswith(b"GET ")
        assert KEY.encode() not in request
        assert b"authorization" not in request.lower()


async def test_a_proxy_that_lets_nobody_through_is_named_and_its_password_is_not() -> None:
    async with proxy(9, refuse=answers(answer("403 x"))) as way:
        delivery = settings(way.port, auth=IN_URL)
        (finding,) = await reach_hosts(Settings(delivery=delivery), [integration(521, US)])
    assert finding.verdict is CheckStatus.FAIL
    assert "does not allow connections to api.opsgenie.com (HTTP 403)" in finding.text
    assert finding.text.endswith(", through the proxy")
    assert "STREAM_APP_DELIVERY__PROXY_URL" in finding.next_step
    for hidden in (PASSWORD, IN_URL, TOKEN.decode()):
        assert hidden not in finding.text + finding.next_step


async def test_an_unreachable_proxy_fails_the_check_of_the_hosts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    (finding,) = await reach_hosts(Settings(delivery=settings(port)), [integration(521, US)])
    assert finding.verdict is CheckStatus.FAIL
    assert "STREAM_APP_DELIVERY__PROXY_URL is in the way: no connection to it" in finding.text
