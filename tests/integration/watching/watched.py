"""An installation with both workers and a sandbox, and a real Prometheus that watches it."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import httpx
import yaml

from stream_app.kafka.cluster.topic_creation import create_topics
from stream_app.opsgenie.sandbox.server import SandboxOpsgenie
from stream_app.settings import Settings
from tests.conftest import ROOT
from tests.integration.harness import NO_TLS, WorkerProcess, put, put_objects
from tests.integration.notifier.test_notifier import integration
from tests.processes import STREAM_APP
from tests.tools import tool

DEPLOY = ROOT / "deploy" / "prometheus"
EXAMPLE = (DEPLOY / "prometheus.yml").read_text()
#: The rules' ranges in the test, short enough that rules fire and clear in seconds.
RANGE = "6s"
CLIENT = {"client_id": 1111, "name": "TestCompany", "cloud": "EU", "applications": {}}


def trigger(number: int, condition: str, integrations: list[int]) -> dict[str, Any]:
    """Return a trigger that fires on the first event of a second."""
    return {
        "id": number,
        "client_id": 1111,
        "name": condition,
        "enabled": True,
        "template_id": condition,
        "filters": [],
        "threshold": {"count": 0, "period": 1, "operator": "gt"},
        "actions": [{"id": "send_notification", "params": {"integration_ids": integrations}}],
        "enabled_at": 1,
    }


class Installation:
    """Topics, configuration, a sandbox and one worker of each role."""

    def __init__(self, settings: Settings, folder: Path, **env: str) -> None:
        self.settings = settings
        self.bootstrap = settings.kafka.bootstrap_servers or ""
        # Waits are so short here that a state that comes late is never asked for.
        self.sandbox = SandboxOpsgenie(processing_ms=0)
        self.workers: dict[str, WorkerProcess] = {}
        self.env = env
        self._folder = folder
        self._stack = ExitStack()

    async def start(
        self,
        keys: Mapping[int, str],
        *triggers: dict[str, Any],
        more: Mapping[int, Mapping[str, Any]] | None = None,
    ) -> None:
        """Start all of it; `keys` are the integrations' keys by their ids, `more` are fields."""
        await create_topics(self.settings)
        url = await self.sandbox.start()
        names = {number: f"STREAM_APP_KEY_1111_N{number}" for number in keys}
        fields = more or {}
        rows = [
            integration(
                n, url, target={"token": f"env:{names[n]}", "api": url}, **fields.get(n, {})
            )
            for n in keys
        ]
        await put_objects(self.settings, "config.clients", [CLIENT])
        await put_objects(self.settings, "config.integrations", rows)
        await put_objects(self.settings, "config.triggers", triggers)
        self.env |= {names[number]: key for number, key in keys.items()}
        self.env["STREAM_APP_DELIVERY__SANDBOX_URL"] = url
        for role in ("detector", "notifier"):
            self._launch(role, "0")
        for worker in self.workers.values():
            await worker.ready()

    async def restart(self, role: str, command: Sequence[str] = STREAM_APP, **env: str) -> None:
        """Stop a worker, and start it at the same address; do not wait until it is ready."""
        worker = self.workers[role]
        assert await asyncio.to_thread(worker.stop, 60) == 0, worker.text
        self._launch(role, (worker.url or "").rpartition(":")[2], command, **env)

    def _launch(
        self, role: str, port: str, command: Sequence[str] = STREAM_APP, **env: str
    ) -> None:
        log = self._folder / f"{role}-{port}.log"
        env = {**self.env, **env, "STREAM_APP_HTTP__PORT": port}
        worker = WorkerProcess(role, self.settings, log, command, **env)
        self.workers[role] = self._stack.enter_context(worker)

    async def stop(self) -> None:
        """End the workers and the sandbox."""
        self._stack.close()
        await self.sandbox.stop()

    async def put(self, topic: str, *values: bytes | None, **more: Any) -> None:
        """Send records of the client to a topic."""
        key = more.pop("key", b"1111")
        name = f"{self.settings.topic_prefix}{topic}"
        await put(self.bootstrap, name, [(key, value) for value in values], **more)


def quick(rules: dict[str, Any]) -> dict[str, Any]:
    """Return the rules with short ranges and waits, and otherwise unchanged."""
    for rule in (rule for group in rules["groups"] for rule in group["rules"]):
        rule["for"] = "1s"
        rule["expr"] = re.sub(r"\[\d+[mh]\]", f"[{RANGE}]", rule["expr"])
        rule["expr"] = re.sub(r"\boffset \d+[mh]\b", f"offset {RANGE}", rule["expr"])
        rule["expr"] = re.sub(r"> 600$", "> 3", rule["expr"])
        rule["expr"] = re.sub(r"(withheld_seconds{.*}) > 60$", r"\1 > 3", rule["expr"])
    return rules


class Prometheus:
    """A real Prometheus with the example's configuration, that scrapes every second.

    Args:
        folder: made if it is not there.
        workers: what is scraped, by role.
        example: the text of the example.
    """

    def __init__(
        self, folder: Path, workers: Mapping[str, WorkerProcess], example: str = EXAMPLE
    ) -> None:
        folder.mkdir(exist_ok=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._address = f"127.0.0.1:{probe.getsockname()[1]}"
        config = yaml.safe_load(example)
        config["global"] = {
            "scrape_interval": "1s",
            "scrape_timeout": "1s",
            "evaluation_interval": "1s",
        }
        for found in config["scrape_configs"][0]["static_configs"]:
            url = workers[found["labels"]["role"]].url or ""
            found["targets"] = [url.partition("://")[2]]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        rules = quick(yaml.safe_load((DEPLOY / "rules.yaml").read_text()))
        (folder / "rules.yaml").write_text(yaml.safe_dump(rules))
        self.names = {rule["alert"] for group in rules["groups"] for rule in group["rules"]}
        self.fired: set[str] = set()
        #: Alert -> its instances that fire now.
        self.firing: dict[str, list[dict[str, Any]]] = {}
        self._log = folder / "prometheus.log"
        with self._log.open("wb") as out:
            self._process = subprocess.Popen(
                [
                    tool("prometheus"),
                    f"--config.file={folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={folder / 'data'}",
                    f"--web.listen-address={self._address}",
                    "--log.level=warn",
                ],
                stdout=out,
                stderr=out,
            )

    async def watch(self) -> None:
        """Ask for the alerts until cancelled."""
        async with httpx.AsyncClient(timeout=5, verify=NO_TLS) as client:
            while True:
                assert self._process.poll() is None, self._log.read_text()
                try:
                    answer = await client.get(f"http://{self._address}/api/v1/alerts")
                    alerts = answer.json()["data"]["alerts"]
                except (httpx.HTTPError, ValueError):  # it is starting
                    alerts = []
                self.firing = {}
                for one in alerts:
                    if one["state"] == "firing":
                        self.firing.setdefault(one["labels"]["alertname"], []).append(one)
                self.fired |= self.firing.keys()
                await asyncio.sleep(0.3)

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the samples of an expression; none while it is starting."""
        url = f"http://{self._address}/api/v1/query"
        try:
            async with httpx.AsyncClient(timeout=5, verify=NO_TLS) as client:
                answer = await client.get(url, params={"query": expression})
            found: list[dict[str, Any]] = answer.json()["data"]["result"]
        except (httpx.HTTPError, ValueError):
            return []
        return found

    async def until(self, claim: Callable[[], bool], seconds: float = 90) -> None:
        """Wait until a claim about the alerts holds."""
        try:
            async with asyncio.timeout(seconds):
                while not claim():  # noqa: ASYNC110 - the claim is about another process
                    await asyncio.sleep(0.2)
        except TimeoutError:
            said = f"firing: {sorted(self.firing)}, have fired: {sorted(self.fired)}"
            raise AssertionError(f"not after {seconds} s; {said}") from None

    async def fire(self, *names: str) -> None:
        """Wait until each of these alerts has fired."""
        await self.until(lambda: self.fired >= set(names))

    async def clear(self, *but: str) -> None:
        """Wait until no alert fires except these."""
        await self.until(lambda: self.firing.keys() <= set(but))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(10)
