"""`stream-app integrations test -f`: no Kafka is there, and none is needed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from click.testing import CliRunner, Result

from stream_app.cli.integrations.trial import test as command
from stream_app.domain.errors import StreamAppError
from stream_app.opsgenie.sandbox.fault import Fault, FaultKind, Operation
from stream_app.opsgenie.sandbox.server import SandboxOpsgenie
from stream_app.opsgenie.sandbox.service import Exchange

pytestmark = pytest.mark.usefixtures("_logs_stay")
KEY = "00000000-1111-2222-3333-444444444444"
CLIENT = {"client_id": 1111, "name": "Acme Retail", "cloud": "US", "applications": {}}
TRIGGER = {"id": 61, "client_id": 1111, "template_id": "nonsense"}


class Place:
    def __init__(self, url: str, sandbox: SandboxOpsgenie, folder: Path) -> None:
        self.url, self.sandbox = url, sandbox
        self.file = folder / "acme.yaml"
        self.env = {
            "STREAM_APP_DELIVERY__SANDBOX_URL": url,
            "STREAM_APP_DELIVERY__RETRY_SCALE": "0.1",
            # Nobody listens there: whoever asks Kafka fails.
            "STREAM_APP_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:9",
        }

    def integration(self, number: int = 521, **changes: Any) -> dict[str, Any]:
        return {
            "id": number,
            "client_id": 1111,
            "name": "On-call",
            "active": True,
            "type": "opsgenie",
            "target": {"token": KEY, "api": self.url},
            "events": [{"event": "system", "active": True}],
            **changes,
        }

    def write(self, *objects: dict[str, Any]) -> str:
        self.file.write_text(yaml.safe_dump_all(objects))
        return str(self.file)

    async def run(self, *args: str, code: int = 0) -> Result:
        done = await asyncio.to_thread(CliRunner().invoke, command, [*args], env=self.env)
        error = done.exception
        found = error.exit_code if isinstance(error, StreamAppError) else done.exit_code
        assert found == code, (done.output, error)
        assert KEY not in done.output + str(error)
        return done


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    sandbox = SandboxOpsgenie(processing_ms=1)
    url = await sandbox.start()
    yield Place(url, sandbox, tmp_path)
    await sandbox.stop()


async def test_an_integration_of_a_file_is_tested_up_to_its_messages(place: Place) -> None:
    done = await place.run("-f", place.write(CLIENT, place.integration(), TRIGGER))
    lines = done.stdout.splitlines()
    assert [line.split(":")[0] for line in lines[:-1]] == [
        "configuration", "alerts", "host", "key", "key", "send", "send", "status", "close"
    ]  # fmt: skip
    assert lines[-1] == "the integration works"
    assert done.stderr == ""
    (alert,) = place.sandbox.alerts
    assert (alert.status, alert.priority) == ("closed", "P5")
    assert alert.details["client_name"] == "Acme Retail"
    assert "Cloud: US" in alert.description


async def test_the_usable_integration_of_an_api_answer_is_tested(place: Place) -> None:
    slack = place.integration(530, type="slack")
    answer = {
        "clientid": 1111,
        "body": {"result": "success", "object": [slack, place.integration()]},
    }
    await place.run("-f", place.write(answer), "--silent")
    done = await place.run("530", "-f", place.write(answer), code=3)
    assert "integration 530: must be there once: 521" in str(done.exception) + done.output


async def test_json_is_one_document_of_the_steps_on_stdout(place: Place) -> None:
    done = await place.run("-f", place.write(place.integration()), "--json", "--keep-open")
    told = json.loads(done.stdout)
    assert (told["integration_id"], told["result"], told["exit_code"]) == (521, "ok", 0)
    stages = [step["step"] for step in told["steps"]]
    assert stages[:4] == ["configuration", "alerts", "host", "key"]
    assert told["steps"][3]["probe"] == "unverified"
    status = next(step for step in told["steps"] if step["step"] == "status")
    assert (status["is_success"], status["status"]) == (True, "Created alert")
    (alert,) = place.sandbox.alerts
    assert (alert.status, alert.alias) == ("open", told["steps"][-1]["alias"])
    assert "client_name" not in alert.details


async def test_a_silent_test_sends_no_message(place: Place) -> None:
    done = await place.run("-f", place.write(place.integration()), "--silent")
    assert place.sandbox.alerts == []
    assert done.stdout.splitlines()[-1] == "the host and the key work; no message was sent"


@pytest.mark.parametrize(("status", "code"), [(403, 5), (503, 6)])
async def test_the_exit_code_tells_whether_to_try_again(
    place: Place, status: int, code: int
) -> None:
    async def refuse(exchange: Exchange) -> web.Response:
        return exchange.answer(status, {"message": "as told"})

    place.sandbox._api.steps.append(refuse)
    done = await place.run("-f", place.write(place.integration()), "--json", code=code)
    told = json.loads(done.stdout)
    assert told["exit_code"] == code
    assert told["steps"][-1]["http_status"] == status


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"name": ""}, "integration 521: name"),
        ({"target": {"api": "https://evil.example/v2/alerts", "token": KEY}}, "is not allowed"),
        ({"target": {"api": "https://api.opsgenie.com"}}, "target.token"),
        ({"target": {"token": "env:STREAM_APP_KEY_1111_NONE", "api": ""}}, "target.api"),
        ({"note": f"the key is {KEY}"}, "integration 521: note"),
    ],
)
async def test_an_integration_that_apply_refuses_is_invalid_here_too(
    place: Place, changes: dict[str, Any], text: str
) -> None:
    done = await place.run("-f", place.write(place.integration(**changes)), "--json", code=3)
    (step,) = json.loads(done.stdout)["steps"]
    assert (step["step"], step["result"]) == ("configuration", "failed")
    assert text in step["text"]
    assert place.sandbox.requests == []


async def test_a_named_key_is_read_from_the_environment(place: Place) -> None:
    target = {"token": "env:STREAM_APP_KEY_1111_ACME", "api": place.url}
    file = place.write(place.integration(target=target))
    done = await place.run("-f", file, "--silent", code=3)
    assert "the variable is not set" in done.stdout
    place.env["STREAM_APP_KEY_1111_ACME"] = KEY
    await place.run("-f", file, "--silent")


async def test_one_of_several_integrations_is_picked_by_its_id(place: Place) -> None:
    file = place.write(place.integration(), place.integration(522, events=[]))
    done = await place.run("-f", file, code=2)
    assert "holds the integrations 521, 522" in str(done.exception)
    await place.run("522", "-f", file)
    assert [alert.message for alert in place.sandbox.alerts] == [
        "[Test message] [Wallarm] Test of the integration"
    ]
    done = await place.run("523", "-f", file, code=3)
    assert "integration 523: must be there once: 521, 522" in done.stdout
    assert "holds no integration" in (await place.run("-f", place.write(CLIENT), code=3)).stdout


async def test_without_an_id_or_a_file_there_is_nothing_to_test(place: Place) -> None:
    done = await place.run(code=2)
    assert "by its ID, or a file with -f" in str(done.exception)


async def test_an_id_is_looked_up_in_kafka(place: Place) -> None:
    done = await place.run("521", code=4)
    assert "127.0.0.1:9" in str(done.exception)


async def test_ctrl_c_closes_the_alert_and_ends_with_130(place: Place) -> None:
    place.sandbox.fail(Fault(kind=FaultKind.HANG, on=(Operation.REQUEST_STATUS,)))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "stream_app", "integrations", "test", "-f",
        place.write(place.integration()),
        env={**os.environ, **place.env, "STREAM_APP_DELIVERY__REQUEST_TIMEOUT_SECONDS": "2"},
        stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(180):
            while not place.sandbox.alerts:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.01)
            process.send_signal(signal.SIGINT)
            _, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 130, errors
    assert place.sandbox.alerts[0].status == "closed"
    assert b"stream-app: interrupted" in errors
