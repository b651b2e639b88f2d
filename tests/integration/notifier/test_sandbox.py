"""The sandbox, the client and the command together, over real connections."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import orjson
import pytest

from stream_app.domain.configuration.alert_options import AlertOptions
from stream_app.domain.errors import ConfigurationError
from stream_app.opsgenie.client import OpsgenieClient
from stream_app.opsgenie.destination import Destination
from stream_app.opsgenie.endpoints import JSM_PATH, resolve_endpoint
from stream_app.opsgenie.payload import alert_body
from stream_app.opsgenie.sandbox.server import SandboxOpsgenie
from stream_app.opsgenie.sandbox.state import AlertView
from stream_app.setting_groups import DeliverySettings
from tests.integration.harness import NO_TLS

KEY = "00000000-1111-2222-3333-444444444444"
HEADERS = {"Authorization": f"GenieKey {KEY}"}
BODY = alert_body("Too many hits", "Client: Acme", "acme:1", {"trigger_id": 61}, AlertOptions())


@asynccontextmanager
async def running(sandbox: SandboxOpsgenie, service: str = "") -> AsyncIterator[httpx.AsyncClient]:
    """Yield a plain HTTP client of a running sandbox, at the path of one of its services."""
    base_url = await sandbox.start()
    try:
        async with httpx.AsyncClient(
            base_url=base_url + service, trust_env=False, verify=NO_TLS
        ) as http:
            yield http
    finally:
        await sandbox.stop()


@pytest.fixture(params=["", JSM_PATH], ids=["opsgenie", "jsm"])
def service(request: pytest.FixtureRequest) -> str:
    """Run a test against both services that the sandbox plays."""
    return str(request.param)


async def post(http: httpx.AsyncClient, **fields: object) -> httpx.Response:
    return await http.post("/v2/alerts", json={"message": "m", **fields}, headers=HEADERS)


async def request_state(http: httpx.AsyncClient, response: httpx.Response) -> Mapping[str, Any]:
    """Return the state of an accepted request, asked for until it is there."""
    url = f"/v2/alerts/requests/{response.json()['requestId']}"
    async with asyncio.timeout(60):
        while (answer := await http.get(url, headers=HEADERS)).status_code == 404:
            assert answer.headers["X-Opsgenie-Errortype"] == "RequestNotProcessed"
            await asyncio.sleep(0.02)
    data: Mapping[str, Any] = answer.json()["data"]
    return data


@pytest.mark.parametrize("path", ["", "/v2/alerts", "/jsm/ops/integration"])
async def test_an_alert_goes_from_payload_to_sandbox(path: str) -> None:
    arrived: list[AlertView] = []
    sandbox = SandboxOpsgenie(on_alert=arrived.append, processing_ms=600_000)
    async with running(sandbox) as http, OpsgenieClient(DeliverySettings()) as client:
        base_url = str(http.base_url)
        endpoint = resolve_endpoint(base_url.rstrip("/") + path, base_url)
        outcomes = [await Destination(endpoint, KEY, client).post(BODY)]
        assert outcomes[0].request_id
        status = await Destination(endpoint, KEY, client).status(outcomes[0].request_id)
        assert status.is_success is None
        sandbox._state._processing_ms = 0
        outcomes.append(await Destination(endpoint, KEY, client).post(BODY))
        assert outcomes[1].request_id
        status = await Destination(endpoint, KEY, client).status(outcomes[1].request_id)
    assert all(outcome.accepted for outcome in outcomes)
    assert (status.is_success, status.status) == (True, "Created alert")
    (alert,) = sandbox.alerts
    assert (alert.message, alert.description) == ("Too many hits", "Client: Acme")
    assert (alert.details, alert.count) == ({"trigger_id": "61"}, 2)
    assert [(alert.alias, alert.requests) for alert in arrived] == [("acme:1", 1), ("acme:1", 2)]


async def test_an_accepted_request_is_answered_as_documented(service: str) -> None:
    async with running(SandboxOpsgenie(), service) as http:
        response = await post(http, alias="a")
    assert response.status_code == 202
    answer = response.json()
    assert answer["result"] == "Request will be processed"
    assert isinstance(answer["took"], float)
    assert response.headers["X-Request-ID"] == answer["requestId"]
    assert response.headers["X-Sandbox"] == "stream-app"


async def test_closing_an_alert_lets_its_alias_open_another(service: str) -> None:
    sandbox = SandboxOpsgenie()
    async with running(sandbox, service) as http:
        url = "/v2/alerts/team%2Fa%3A1/close?identifierType=alias"
        await request_state(http, await post(http, alias="team/a:1"))
        closed = await request_state(http, await http.post(url, headers=HEADERS))
        again = await request_state(http, await http.post(url, headers=HEADERS))
        await post(http, alias="team/a:1")
    assert (closed["action"], closed["isSuccess"]) == ("Close", True)
    assert (again["status"], again["isSuccess"]) == ("Alert does not exist", False)
    assert [alert.status for alert in sandbox.alerts] == ["closed", "open"]


async def test_closing_by_an_unknown_kind_of_name_is_refused(service: str) -> None:
    async with running(SandboxOpsgenie(), service) as http:
        response = await http.post("/v2/alerts/x/close?identifierType=name", headers=HEADERS)
    assert response.status_code == 422
    assert "identifierType" in response.json()["errors"]


async def test_the_state_of_an_unknown_request_is_not_found(service: str) -> None:
    async with running(SandboxOpsgenie(), service) as http:
        response = await http.get("/v2/alerts/requests/none", headers=HEADERS)
    assert response.status_code == 404
    assert "X-Opsgenie-Errortype" not in response.headers


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "GenieKey"}, 401),
        ({"Authorization": f"Bearer {KEY}"}, 401),
        ({"Authorization": "GenieKey my-key"}, 422),
        (HEADERS, 202),
        ({"Authorization": "GenieKey ffffffff-ffff-ffff-ffff-ffffffffffff"}, 202),
    ],
)
async def test_without_known_keys_every_well_formed_one_passes(
    headers: dict[str, str], status: int
) -> None:
    async with running(SandboxOpsgenie()) as http:
        response = await http.post("/v2/alerts", json={"message": "m"}, headers=headers)
    assert response.status_code == status
    if status == 422:
        assert response.json()["message"] == "Key format is not valid!"
        assert "errors" not in response.json()


async def test_the_shape_of_a_jsm_key_is_not_checked() -> None:
    async with running(SandboxOpsgenie()) as http:
        headers = {"Authorization": "GenieKey a-jsm-key"}
        url = "/jsm/ops/integration/v2/alerts"
        assert (await http.post(url, json={"message": "m"}, headers=headers)).status_code == 202


@pytest.mark.parametrize(("key", "status"), [(KEY, 202), (KEY[:-1] + "5", 401), ("x", 401)])
async def test_with_known_keys_only_they_pass(key: str, status: int, service: str) -> None:
    sandbox = SandboxOpsgenie(keys={KEY})
    async with running(sandbox, service) as http:
        headers = {"Authorization": f"GenieKey {key}"}
        response = await http.post("/v2/alerts", json={"message": "m"}, headers=headers)
    assert response.status_code == status
    assert len(sandbox.alerts) == (status == 202)


async def test_a_refused_field_is_named(service: str) -> None:
    sandbox = SandboxOpsgenie()
    async with running(sandbox, service) as http:
        response = await post(http, priority="P9", details={"n": 1})
    assert response.status_code == 422
    assert set(response.json()["errors"]) == {"priority", "details"}
    assert sandbox.alerts == []


@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b'{"message":"m"}', "text/plain", 415),
        (b"x" * 2_000_000, "application/json", 413),
        (b'{"message":"m"}', "application/json; charset=utf-8", 202),
    ],
)
async def test_a_body_that_is_no_json_object_is_refused(
    content: bytes, content_type: str, status: int, service: str
) -> None:
    async with running(SandboxOpsgenie(), service) as http:
        headers = {**HEADERS, "Content-Type": content_type}
        response = await http.post("/v2/alerts", content=content, headers=headers)
    assert response.status_code == status


async def test_the_views_show_what_came_and_no_key() -> None:
    async with running(SandboxOpsgenie()) as http:
        await post(http, alias="a", tags=["t"])
        await http.post("/v2/alerts", json={}, headers={"Authorization": "GenieKey short"})
        alerts = await http.get("/sandbox/alerts")
        requests = await http.get("/sandbox/requests")
        assert (await http.delete("/sandbox")).status_code == 204
        assert (await http.get("/sandbox/alerts")).json() == []
        assert (await http.get("/sandbox/requests")).json() == []
    (alert,) = alerts.json()
    assert (alert["alias"], alert["count"], alert["status"], alert["requests"]) == (
        "a",
        1,
        "open",
        1,
    )
    assert [row["status"] for row in requests.json()] == [202, 422]
    assert [row["key"] for row in requests.json()] == ["...4444", ""]
    assert KEY not in requests.text + alerts.text
    assert "short" not in requests.text


@pytest.mark.parametrize("path", ["/", "/nowhere", "/sandbox/alerts", "/v2/alerts"])
async def test_every_answer_is_marked_as_the_sandboxs(path: str) -> None:
    async with running(SandboxOpsgenie()) as http:
        response = await http.get(path)
    assert response.headers["X-Sandbox"] == "stream-app"
    assert path != "/" or "It is not Opsgenie" in response.text


async def test_the_sandbox_binds_loopback_unless_told() -> None:
    with pytest.raises(ConfigurationError, match="not on loopback"):
        SandboxOpsgenie("0.0.0.0")  # noqa: S104 - refused
    async with running(SandboxOpsgenie("0.0.0.0", allow_remote=True)) as http:  # noqa: S104 - told
        assert (await http.get("/")).status_code == 200


async def test_a_port_in_use_is_an_error_that_names_it() -> None:
    async with running(SandboxOpsgenie()) as http:
        port = http.base_url.port
        assert port
        with pytest.raises(ConfigurationError, match=f"127.0.0.1 port {port}"):
            await SandboxOpsgenie(port=port).start()


async def test_a_sandbox_that_stopped_can_be_read_and_is_gone() -> None:
    sandbox = SandboxOpsgenie()
    async with running(sandbox) as http:
        await post(http, alias="a")
        base_url = str(http.base_url)
    assert [alert.alias for alert in sandbox.alerts] == ["a"]
    async with OpsgenieClient(DeliverySettings()) as client:
        outcome = await Destination(resolve_endpoint(base_url, base_url), KEY, client).post(BODY)
    assert outcome.reason == "connect_error"


@pytest.mark.parametrize(
    ("options", "number"), [((), signal.SIGINT), (("--json",), signal.SIGTERM)]
)
async def test_the_command_shows_each_alert_until_it_is_interrupted(
    options: tuple[str, ...], number: signal.Signals
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "stream_app", "sandbox", "--port", "0", *options),
        stdout=PIPE,
        stderr=PIPE,
    )
    assert process.stdout
    assert process.stderr
    async with asyncio.timeout(60):
        assert b"not Opsgenie" in await process.stderr.readline()
        api = (await process.stderr.readline()).decode().split()[-1]
        endpoint = resolve_endpoint(api, api)
        async with OpsgenieClient(DeliverySettings()) as client:
            for _ in range(2):
                assert (await Destination(endpoint, KEY, client).post(BODY)).accepted
        process.send_signal(number)
        out, err = await process.communicate()
    assert process.returncode == 0
    assert KEY not in (out + err).decode()
    if options:
        alerts = [orjson.loads(line) for line in out.splitlines()]
        assert [alert["count"] for alert in alerts] == [1, 2]
        assert alerts[0]["description"] == "Client: Acme"
    else:
        text = out.decode()
        assert "acme:1\nToo many hits\n\nClient: Acme\n\n  trigger_id: 61\n" in text
        assert text.endswith("--- again, request 2 of the open alert acme:1\n")


@pytest.mark.parametrize(
    ("reader", "lines", "said"),
    [
        ("| head -n 1", 1, []),
        ("> /dev/full", 0, [b"stream-app: stdout cannot be written: No space"]),
    ],
)
async def test_the_command_ends_when_nobody_can_read_it_any_more(
    reader: str, lines: int, said: list[bytes]
) -> None:
    process = await asyncio.create_subprocess_shell(
        f"{sys.executable} -m stream_app sandbox --port 0 --json {reader}",
        stdout=PIPE,
        stderr=PIPE,
    )
    assert process.stderr
    async with asyncio.timeout(60):
        await process.stderr.readline()
        api = (await process.stderr.readline()).decode().split()[-1]
        endpoint = resolve_endpoint(api, api)
        async with OpsgenieClient(DeliverySettings()) as client:
            for _ in range(5):  # the reader takes the first alert and goes
                await Destination(endpoint, KEY, client).post(BODY)
                await asyncio.sleep(0.1)
        out, err = await process.communicate()
    assert len(out.splitlines()) == lines
    assert b"Traceback" not in err
    assert re.findall(rb"^stream-app: .*No space", err, re.MULTILINE) == said
