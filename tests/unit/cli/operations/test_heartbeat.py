"""`stream-app heartbeat`, with a sandbox that plays JSM: no Kafka is needed for that."""

from __future__ import annotations

import asyncio
import json
import shlex
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result

from stream_app.cli.operations.heartbeat import heartbeat as command
from stream_app.domain.errors import StreamAppError
from stream_app.opsgenie.sandbox.heartbeats import Heartbeat
from stream_app.opsgenie.sandbox.server import SandboxOpsgenie
from stream_app.settings import load_settings
from tests.documentation.pages import PAGES, blocks
from tests.unit.cli.test_every_command import code_of

pytestmark = pytest.mark.usefixtures("_logs_stay")
TOKEN = "fake-token-of-an-account"


class Place:
    def __init__(self, url: str, sandbox: SandboxOpsgenie) -> None:
        self.sandbox = sandbox
        self.env = {
            "STREAM_APP_DELIVERY__SANDBOX_URL": url,
            "STREAM_APP_HEARTBEAT__TARGET": "jsm",
            "STREAM_APP_HEARTBEAT__NAME": "pager",
            "STREAM_APP_HEARTBEAT__CLOUD_ID": "cloud",
            "STREAM_APP_HEARTBEAT__TEAM_ID": "team",
            "STREAM_APP_HEARTBEAT__EMAIL": "ops@acme.example",
            "STREAM_APP_HEARTBEAT__API_TOKEN": TOKEN,
            "STREAM_APP_HEARTBEAT__JSM_API": f"{url}/jsm/ops/api",
            # Nobody listens there: whoever asks Kafka fails.
            "STREAM_APP_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:9",
        }

    async def run(self, *args: str, code: int = 0) -> Result:
        done = await asyncio.to_thread(CliRunner().invoke, command, [*args], env=self.env)
        error = done.exception
        found = error.exit_code if isinstance(error, StreamAppError) else done.exit_code
        assert found == code, (done.output, error)
        assert TOKEN not in done.output + str(error)
        return done


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    sandbox = SandboxOpsgenie()
    yield Place(await sandbox.start(), sandbox)
    await sandbox.stop()


async def test_a_heartbeat_is_read_and_nothing_is_pinged(place: Place) -> None:
    place.sandbox.add_heartbeat(Heartbeat("pager"))
    done = await place.run()
    assert done.stdout.splitlines()[1:] == [
        "reading: note: it has expired, or was never pinged",
        "nothing is wrong with the heartbeat, as far as is known from here",
        "nothing was pinged: `stream-app heartbeat --ping` tries that, too",
    ]
    assert [one.pings for one in place.sandbox.heartbeats] == [0]


async def test_json_is_one_document_of_the_steps_on_stdout(place: Place) -> None:
    place.sandbox.add_heartbeat(Heartbeat("pager"))
    done = await place.run("--ping", "--json")
    told = json.loads(done.stdout)
    assert (told["result"], told["exit_code"]) == ("ok", 0)
    assert [step["step"] for step in told["steps"]] == ["target", "reading", "ping", "arrival"]
    assert [one.pings for one in place.sandbox.heartbeats] == [1]


async def test_a_missing_heartbeat_ends_with_5(place: Place) -> None:
    done = await place.run("--ping", code=5)
    assert "its team in JSM has none" in done.stdout


async def test_without_a_target_it_says_what_to_set(place: Place) -> None:
    place.env = {}
    done = await place.run(code=3)
    assert "set STREAM_APP_HEARTBEAT__TARGET to opsgenie, jsm or url" in str(done.exception)


async def test_the_key_of_an_integration_needs_kafka(place: Place) -> None:
    place.env = {
        name: value
        for name, value in place.env.items()
        if name.startswith(("STREAM_APP_KAFKA", "STREAM_APP_DELIVERY"))
    } | {
        "STREAM_APP_HEARTBEAT__TARGET": "opsgenie",
        "STREAM_APP_HEARTBEAT__NAME": "pager",
        "STREAM_APP_HEARTBEAT__INTEGRATION_ID": "521",
    }
    done = await place.run(code=4)
    assert "127.0.0.1:9" in str(done.exception)


PAGE = [text for _, text in blocks(PAGES["deploy/heartbeat.md"])]
EXPORTS = [text for text in PAGE if text.startswith("export ")]


@pytest.mark.parametrize("text", EXPORTS)
def test_the_settings_of_the_page_are_valid(
    text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("https://hc-ping.com/00000000-1111\n")
    for _, setting in map(shlex.split, text.splitlines()):
        name, _, value = setting.partition("=")
        monkeypatch.setenv(name, str(secret) if name.endswith("_FILE") else value)
    assert f"={load_settings().heartbeat.target}\n" in text


def test_each_target_is_on_the_page() -> None:
    assert [text.splitlines()[0].rpartition("=")[2] for text in EXPORTS] == [
        "opsgenie", "jsm", "url"
    ]  # fmt: skip


async def test_the_commands_of_the_page_run_in_their_order(place: Place) -> None:
    commands = [
        shlex.split(line, comments=True)
        for text in PAGE
        if text not in EXPORTS
        for line in text.splitlines()
    ]
    place.sandbox.add_heartbeat(Heartbeat("pager"))
    url = place.env["STREAM_APP_DELIVERY__SANDBOX_URL"]
    async with httpx.AsyncClient() as http:
        for program, *words in commands:
            if program == "stream-app" and words[0] == "heartbeat":
                await place.run(*words[1:])
            elif program == "stream-app":
                assert words == ["sandbox", "--heartbeat", "pager"]
                assert code_of(*words, "--help") == 0
            else:
                *_, address = words
                method = "POST" if "-d" in words else "GET"
                body = words[words.index("-d") + 1] if "-d" in words else None
                path = address.removeprefix("http://127.0.0.1:8480")
                answer = await http.request(method, f"{url}{path}", content=body)
                assert answer.is_success, answer.text
    assert [one.name for one in place.sandbox.heartbeats] == ["pager", "other"]
    assert len(commands) == 5
