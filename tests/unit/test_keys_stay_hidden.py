"""A key stands in no error, no repr, no log, no metric and no record, whatever goes wrong.

Each error path is driven with a known key, and all that comes out of it is searched for it.
"""

from __future__ import annotations

import base64
import logging
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from prometheus_client import generate_latest
from structlog.testing import capture_logs

from stream_app.domain.configuration.integrations import Integration, read_integration
from stream_app.domain.configuration.kinds import Kind
from stream_app.domain.delivery.reasons import IntegrationType
from stream_app.domain.delivery.records import Delivery, encode_delivery, encode_result
from stream_app.domain.delivery.state import DeliveryState, DeliveryStatus
from stream_app.domain.errors import StreamAppError
from stream_app.domain.plans.file_object import FileObject
from stream_app.domain.plans.keys import shown_form
from stream_app.domain.plans.plan import PlanRules
from stream_app.domain.plans.planner import make_plan
from stream_app.kafka.configuration.view import Configuration, RecordApplier
from stream_app.key_ring import KeyRing
from stream_app.metrics import Metrics
from stream_app.notifier.attempt import Attempts
from stream_app.opsgenie.client import OpsgenieClient
from stream_app.opsgenie.destination import Destination, Destinations
from stream_app.opsgenie.endpoints import Endpoint, resolve_endpoint
from stream_app.opsgenie.sandbox.server import SandboxOpsgenie
from stream_app.opsgenie.sandbox.service import Exchange
from stream_app.setting_groups import DeliverySettings
from stream_app.settings import Settings
from tests.unit.opsgenie.servers import answer, answers, serve

UUID_KEY = "00000000-1111-2222-3333-444444444444"
JSM_KEY = "ATATT3xFfGF0fakeKEYnotREAL0123456789"
OLD, NEW = (base64.urlsafe_b64encode(bytes([n]) * 32).decode() for n in (1, 2))
US = "https://api.opsgenie.com/v2/alerts"
HERE = "1111/521@api.opsgenie.com"


@pytest.fixture(params=[UUID_KEY, JSM_KEY])
def key(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def _logs(key: str, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.DEBUG)
    yield
    assert_hidden(key, caplog.text)


def assert_hidden(key: str, *shown: object) -> None:
    for one in shown:
        text = one if isinstance(one, str) else repr(one)
        # Half of a key is as bad as all of it to a reader who has the other half.
        assert key[:16] not in text
        assert key[-16:] not in text


def assert_refused(key: str, call: Callable[[], object]) -> None:
    """Expect an error of ours; search it, what it came from, and its traceback."""
    with pytest.raises(StreamAppError) as told:
        call()
    error: BaseException | None = told.value
    assert_hidden(key, "".join(traceback.format_exception(told.value)))
    while error is not None:
        assert_hidden(key, str(error), repr(error), vars(error))
        error = error.__cause__ or error.__context__


def test_secrets_say_what_is_wrong_without_the_key(key: str, tmp_path: Path) -> None:
    ring, sealed = KeyRing([NEW], key_dir=tmp_path), KeyRing([OLD]).seal(key, HERE)
    (tmp_path / "1111" / "folder").mkdir(parents=True)
    (tmp_path / "1111" / "two").write_text(f"{key}\n{key}")
    (tmp_path / "1111" / "empty").touch()
    for call in (
        partial(KeyRing, [key]),
        partial(KeyRing, [NEW, key]),
        partial(KeyRing().seal, key, HERE),
        partial(ring.seal, f"{key} {key}", HERE),
        partial(ring.seal, f"{key}é", HERE),
        partial(ring.seal, "", f"1111/521@{key}"),
        partial(ring.open, key, HERE),
        partial(ring.open, key, f"1111/521@{key}"),
        partial(ring.open, sealed, HERE),
        partial(ring.open, sealed, f"1111/521@{key}"),
        partial(KeyRing().open, sealed, HERE),
        partial(ring.open, f"sealed:v1:{key}", HERE),
        partial(ring.open, f"sealed:v2:{key}", HERE),
        partial(KeyRing([OLD]).open, sealed, "1111/522@api.opsgenie.com"),
        partial(ring.open, f"env:{key}", HERE),
        partial(
            KeyRing(environ={"STREAM_APP_KEY_1111_A": f"{key} {key}"}).open,
            "env:STREAM_APP_KEY_1111_A",
            HERE,
        ),
        partial(ring.open, "file:1111/two", HERE),
        partial(ring.open, "file:1111/empty", HERE),
        partial(ring.open, "file:1111/folder", HERE),
        partial(ring.open, "file:1111/none", HERE),
        partial(KeyRing().open, "file:1111/two", HERE),
    ):
        assert_refused(key, call)
    settings = Settings.model_validate({"secret_keys": key})
    assert_hidden(key, settings, str(settings), settings.model_dump(), ring)


@pytest.mark.parametrize(
    "api",
    [
        "{key}",
        "https://{key}@api.opsgenie.com/v2/alerts",
        "https://bo:{key}@api.opsgenie.com/v2/alerts",
        "https://api.opsgenie.com/v2/alerts?apiKey={key}",
        "https://api.opsgenie.com/v2/alerts/{key}",
        "https://api.opsgenie.com/v2/alerts#{key}",
        "https://{key}/v2/alerts",
        "https://{key}.example/v2/alerts",
        "GenieKey {key}",
    ],
)
def test_an_address_that_holds_a_key_is_refused_without_it(api: str, key: str) -> None:
    address = api.format(key=key)
    assert_refused(key, partial(resolve_endpoint, address, None))
    assert_refused(key, partial(resolve_endpoint, US, address))
    assert_hidden(key, *plan(integration("x", target={"api": address, "token": "a b"})))
    assert_hidden(key, *plan(integration("x", target={"api": address, "token": key})))


def integration(token: object, **changes: Any) -> dict[str, Any]:
    return {
        "id": 521,
        "client_id": 1111,
        "name": "On-call",
        "active": True,
        "type": "opsgenie",
        "target": {"token": token, "api": US},
        "events": [],
    } | changes


def misplaced(key: str) -> list[dict[str, Any]]:
    """Return integrations that hold the key where it belongs, and where it does not."""
    return [
        integration(key),
        integration(f"env:{key}"),
        integration(f"sealed:v2:{key}"),
        integration({"key": key}),
        integration([key]),
        integration(key, target=key, type=key),
        integration(key, target=[key]),
        integration(key, target={"token": key, "api": {"api": key}}),
        integration(key, target={"token": key, "api": key}),
        integration(key, type=key),
        integration(key, id=key),
        integration(key, client_id=key),
        integration(key, active=key),
        integration(key, name=[key]),
        integration(key, name=f"On-call {key}"),
        integration(key, type=f"{'x' * 40}{key}"),
        integration(key, events=key),
        integration(key, events=[key]),
        integration(key, events=[{"event": key, "active": key}]),
        integration(key, alert=key),
        integration(key, alert={"tags": [f"{key},"], "priority": key, "entity": [key]}),
        integration(key, alert={"responders": [{"type": key, "id": key, "name": key}]}),
        integration(key, alert={key: key, "responders": [{"type": "team", "id": "t", key: 1}]}),
    ]


def plan(obj: dict[str, Any]) -> tuple[str, ...]:
    rules = PlanRules(
        now_ms=1,
        allowed_periods=(60,),
        keeper=KeyRing([NEW]),
        check_api=partial(resolve_endpoint, sandbox_url=None),
    )
    return make_plan([FileObject("a.yaml", 1, obj)], {kind: {} for kind in Kind}, rules).problems


def test_no_problem_of_an_integration_shows_its_key(key: str) -> None:
    for obj in misplaced(key):
        assert_hidden(key, *plan(obj))
        _, problems = read_integration(obj)
        assert problems, obj
        assert_hidden(key, *map(str, problems), *map(repr, problems), *map(vars, problems))


def test_get_shows_no_key_even_if_a_record_has_one(key: str) -> None:
    for obj in (
        integration(key),
        integration(KeyRing([NEW]).seal(key, HERE)),
        integration("x", events=[{"event": "system", "active": True, "api_key": key}]),
        integration("x", more={"deep": [[{"token": key}]]}, genieKey=key),
    ):
        assert_hidden(key, shown_form(obj))


def test_the_log_of_a_worker_that_reads_a_clear_key_does_not_show_it(key: str) -> None:
    class Record:
        topic, partition, offset, key = "config.integrations", 0, 7, b"521"
        timestamp = 1767225600000

        def __init__(self, obj: object) -> None:
            self.value = msgspec.json.encode(obj)

    applier = RecordApplier(Settings())
    with capture_logs() as logs:
        for obj in misplaced(key):
            applier.apply([Record(obj)])
    assert len(logs) == len(misplaced(key))
    assert_hidden(key, logs, applier.configuration.integrations)


async def test_no_outcome_of_a_request_shows_the_key(key: str) -> None:
    echo = f'{{"message":"bad {key}","requestId":"{key}","errors":{{"{key}":"{key}"}}}}'.encode()
    slow = answers(b"", b"x", pause_seconds=9)
    settings = DeliverySettings(request_timeout_seconds=0.3)
    for respond in (
        *(answers(answer(f"{status} {key}", echo)) for status in (302, 400, 401, 403, 422, 500)),
        answers(f"HTTP/1.1 2x2 {key}\r\n\r\n".encode(), then_close=True),
        answers(f"{key}: x\r\n\r\n".encode(), then_close=True),
        answers(b"", then_close=True),
        slow,
    ):
        async with serve(respond) as server, OpsgenieClient(settings) as client:
            outcome = await Destination(server.endpoint, key, client).post(b"{}")
            status = await Destination(server.endpoint, key, client).status(key)
        assert not outcome.accepted
        assert_hidden(key, outcome, status)
    for url in ("http://127.0.0.1:1/", "https://127.0.0.1:1/", f"http://{key}.invalid/"):
        async with OpsgenieClient(settings) as client:
            endpoint = Endpoint(url, IntegrationType.JSM, is_sandbox=False)
            assert_hidden(key, await Destination(endpoint, key, client).post(b"{}"))
            assert_hidden(key, await Destination(endpoint, f"{key}\n{key}", client).post(b"{}"))


async def test_no_attempt_shows_the_key_in_its_result_its_metrics_or_the_log(key: str) -> None:
    sandbox, metrics, configuration = SandboxOpsgenie(), Metrics(), Configuration()
    url = await sandbox.start()
    failures = iter((401, 403, 422, 429, 500))

    async def fail(exchange: Exchange) -> web.Response | None:
        return exchange.answer(next(failures), {"message": f"{key} is wrong"})

    sandbox._api.steps.insert(0, fail)
    delivery = Delivery("a/521", "a", 1111, 521, "m", "d", {})
    record = msgspec.Raw(encode_delivery(delivery))
    state = DeliveryState(delivery.id, DeliveryStatus.PENDING, 1111, 521, 1, 1, record=record)
    ring = KeyRing(
        [NEW], environ={"STREAM_APP_KEY_1111_A": key, "STREAM_APP_KEY_1111_B": f"{key} {key}"}
    )
    context = f"1111/521@{url.removeprefix('http://').partition(':')[0]}"
    places = [(url, ring.seal(key, context))] * 5 + [
        (url, "env:STREAM_APP_KEY_1111_B"),
        (url, KeyRing([OLD]).seal(key, context)),
        (url, ring.seal(key, HERE)),
        (url, key),
        (f"https://{key}@api.opsgenie.com", "env:STREAM_APP_KEY_1111_A"),
        (f"https://api.opsgenie.com/{key}", "env:STREAM_APP_KEY_1111_A"),
    ]
    settings = DeliverySettings(sandbox_url=url)
    reasons = []
    with capture_logs() as logs:
        async with Destinations(settings) as destinations:
            attempts = Attempts(destinations, ring, configuration, settings, metrics, lambda: 1)
            for api, stored in places:
                one = Integration(521, 1111, "n", True, "opsgenie", api, stored, ())
                configuration.integrations = {521: one}
                result = await attempts.make(state)
                reasons.append(result.reason)
                assert_hidden(key, one, result, encode_result(result).decode())
    await sandbox.stop()
    assert reasons == [
        *("unauthorized", "forbidden", "unprocessable", "rate_limited", "server_error"),
        *["key_unreadable"] * 4,
        *["endpoint_refused"] * 2,
    ]
    assert [line["reason"] for line in logs] == ["key_unreadable", "endpoint_refused"]
    shown = [request.as_json() for request in sandbox.requests]
    assert_hidden(key, logs, generate_latest(metrics.registry).decode(), shown)
