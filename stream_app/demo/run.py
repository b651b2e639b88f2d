"""Runs the demo: starts everything in order, feeds events, and stops everything in time."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any

from stream_app.demo.customer import INTEGRATION_ID, TRIGGER_ID, api_keys, apply, sample_objects
from stream_app.demo.environment_file import (
    BROKERS,
    DECIDED,
    local_environment,
    use_line,
    write_environment,
)
from stream_app.demo.hints import look_around, what_next
from stream_app.demo.processes import WorkerProcess, end_leftovers, free_ports, watch
from stream_app.demo.summary import Summary, request_result, summary_of
from stream_app.domain.errors import EmbeddedKafkaError, StreamAppError
from stream_app.kafka.cluster.topic_creation import create_topics
from stream_app.kafka.embedded.broker import EmbeddedKafka
from stream_app.opsgenie.sandbox.server import SandboxOpsgenie
from stream_app.opsgenie.sandbox.state import AlertView, RequestView
from stream_app.sample.events import Sample, SampleEvents
from stream_app.sample.feed import events_at_rate, feed, kafka_writer
from stream_app.settings import Settings

PREFIX = "demo."
DIRECTORY = Path(".local/demo")
HOST = "127.0.0.1"
SANDBOX_PORT = 8480
WORKER_PORTS = {"detector": 9464, "notifier": 9465}
#: Together less than ten seconds, with the summary's one: the feed and the workers stop at the same
#: time, then the broker.
WORKER_STOP_SECONDS = 5.0
KAFKA_STOP_SECONDS = 3.0


class Demo:
    """One run of the demo.

    Args:
        settings: the settings of the process; if they name no Kafka, the embedded one is used.
        on_alert: called with each alert of this run that arrives at the sandbox.
        say: prints a line.
        rate: how many events a second.
        seed: of the events; None: any.
        seconds: how long it runs once all is ready; None: until cancelled.
    """

    def __init__(
        self,
        settings: Settings,
        on_alert: Callable[[AlertView], None],
        say: Callable[[str], None],
        *,
        rate: float,
        seed: int | None,
        seconds: float | None,
    ) -> None:
        self._settings = settings
        self._rate, self._seed, self._seconds = rate, seed, seconds
        self._on_alert = on_alert
        self._say = say
        self._started_seconds = int(time.time())
        self._has_hidden = False
        self._events = 0
        self._requests: Counter[str] = Counter()
        self._summary: Summary | None = None
        #: The line that gives a second terminal the demo's environment.
        self._use_line = ""

    async def run(self) -> None:
        """Run until the time is over or the task is cancelled, and leave no process behind.

        Raises:
            StreamAppError: a part cannot start, or has ended by itself.
        """
        with _only_one(DIRECTORY):
            for role in end_leftovers(DIRECTORY):
                self._say(f"ended the {role} of an earlier run, which was killed")
            try:
                async with self._kafka() as bootstrap:
                    await self._run_on(self._installation(bootstrap))
            except asyncio.CancelledError:
                self._say_at_end()
                raise
            self._say_at_end()

    async def _run_on(self, settings: Settings) -> None:
        made = await create_topics(settings)
        new = f", {len(made)} of them new" if made else ""
        self._say(f"topics    {settings.topic_prefix}*{new}")
        (port,) = free_ports(HOST, [SANDBOX_PORT])
        keys = api_keys(sample_objects(""))
        sandbox = SandboxOpsgenie(
            HOST, port, keys, self._show_arrived, on_request=self._count_request
        )
        url = await sandbox.start()
        try:
            self._say(f"Opsgenie  {url}/sandbox/alerts (a sandbox: nobody is alerted)")
            environ = self._environ(settings, url)
            await apply(sample_objects(url), environ)
            await self._work(settings, environ)
        finally:
            await sandbox.stop()

    async def _work(self, settings: Settings, environ: Mapping[str, str]) -> None:
        host = settings.http.host
        ports = free_ports(host, WORKER_PORTS.values())
        workers = [
            WorkerProcess(role, f"http://{host}:{port}", DIRECTORY / f"{role}.log")
            for role, port in zip(WORKER_PORTS, ports, strict=True)
        ]
        feeding: asyncio.Task[None] | None = None
        began = time.monotonic()
        try:
            self._say("starting both workers")
            for worker, port in zip(workers, ports, strict=True):
                await worker.start({**environ, "STREAM_APP_HTTP__PORT": str(port)})
            await asyncio.gather(*(worker.wait_until_ready() for worker in workers))
            for worker in workers:
                self._say(f"{worker.role:<9} {worker.url}/metrics, log: {worker.log}")
            self._say(f"events    {self._rate:g}/s")
            self._say(look_around(self._use_line, INTEGRATION_ID, TRIGGER_ID))
            began = time.monotonic()
            feeding = asyncio.create_task(self._feed(settings))
            watching = asyncio.create_task(watch(workers, self._say))
            try:
                done, _ = await asyncio.wait(
                    {feeding, watching},
                    timeout=self._seconds,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                for task in done:
                    task.result()
            finally:
                watching.cancel()
        finally:
            self._say("stopping")
            await _to_its_end(self._stop(workers, feeding, time.monotonic() - began))

    async def _feed(self, settings: Settings) -> None:
        rows = events_at_rate(SampleEvents(self._seed), self._rate, asyncio.Event())
        async with kafka_writer(settings) as write:
            await feed(self._counted(rows), write, lambda _text: None)

    async def _counted(self, rows: AsyncIterator[Sample]) -> AsyncIterator[Sample]:
        async for row in rows:
            yield row
            self._events += 1

    async def _stop(
        self, workers: list[WorkerProcess], feeding: asyncio.Task[None] | None, seconds: float
    ) -> None:
        if feeding is not None:
            feeding.cancel()
            detector, notifier = (worker.url for worker in workers)
            self._summary = await summary_of(
                detector, notifier, seconds=seconds, events=self._events, requests=self._requests
            )
        ended = await asyncio.gather(*(worker.stop(WORKER_STOP_SECONDS) for worker in workers))
        for worker, in_time in zip(workers, ended, strict=True):
            if not in_time:
                self._say(f"the {worker.role} had to be killed; log: {worker.log}")
        if feeding is not None:
            # If it failed, the reason has been printed.
            await asyncio.wait({feeding})

    def _say_at_end(self) -> None:
        """Say what has been done and what to try next, if it has come so far."""
        if self._summary is not None:
            is_embedded = self._settings.kafka.bootstrap_servers is None
            self._say(self._summary.text())
            self._say(what_next(self._use_line, is_embedded=is_embedded))

    def _count_request(self, request: RequestView) -> None:
        self._requests[request_result(request)] += 1

    def _show_arrived(self, alert: AlertView) -> None:
        """Show an alert that has arrived, unless its window ended before this run began."""
        if int(alert.details.get("time_to", self._started_seconds)) >= self._started_seconds:
            self._on_alert(alert)
        elif not self._has_hidden:
            self._has_hidden = True
            self._say("alerts of an earlier run arrive, too; they are not shown")

    @contextlib.asynccontextmanager
    async def _kafka(self) -> AsyncIterator[str]:
        """Yield the brokers' address, and stop an embedded Kafka that was started for it."""
        named = self._settings.kafka.bootstrap_servers
        if named:
            self._say(f"Kafka     {named}")
            yield named
            return
        broker = EmbeddedKafka(self._settings.embedded)
        was_running = broker.status().is_running
        try:
            address = await _start_embedded()
            self._say(f"Kafka     {address}, data in {self._settings.embedded.directory}")
            yield address
        finally:
            if was_running:
                self._say("Kafka was running before, and goes on: stream-app kafka stop")
            else:
                await _to_its_end(asyncio.to_thread(broker.stop, KAFKA_STOP_SECONDS))

    def _installation(self, bootstrap: str) -> Settings:
        kafka = self._settings.kafka.model_copy(update={"bootstrap_servers": bootstrap})
        prefix = self._settings.topic_prefix or PREFIX
        return self._settings.model_copy(update={"kafka": kafka, "topic_prefix": prefix})

    def _environ(self, settings: Settings, sandbox_url: str) -> dict[str, str]:
        """Return the environment of the demo's commands; write what a person's need of it."""
        delivery = settings.delivery.model_copy(update={"sandbox_url": sandbox_url})
        # An embedded Kafka is named by its folder: its port may be another one next time.
        own = settings.model_copy(update={"delivery": delivery, "kafka": self._settings.kafka})
        variables = local_environment(own, DIRECTORY, os.environ)
        self._use_line = write_environment(DIRECTORY, variables)
        kept = {name: value for name, value in os.environ.items() if name not in DECIDED}
        # The demo asks its workers itself, as they are without TLS and token.
        own_http = ("STREAM_APP_HTTP__TLS_", "STREAM_APP_HTTP__TOKEN")
        plain = {n: v for n, v in {**kept, **variables}.items() if not n.startswith(own_http)}
        return {
            **plain,
            BROKERS: settings.kafka.bootstrap_servers or "",
            "STREAM_APP_SHUTDOWN_TIMEOUT_SECONDS": str(WORKER_STOP_SECONDS - 1),
            # The demo reads the logs.
            "STREAM_APP_LOG__FORMAT": "json",
        }


async def _start_embedded() -> str:
    """Run `stream-app kafka start`: a process can be ended while it downloads, a thread cannot.

    Raises:
        EmbeddedKafkaError: the command failed, and has printed the reason.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "stream_app", "kafka", "start"), stdin=DEVNULL, stdout=PIPE
    )
    try:
        output, _ = await process.communicate()
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await _to_its_end(process.wait())
        raise
    if process.returncode:
        raise EmbeddedKafkaError("the embedded Kafka did not start: see above")
    return output.decode().strip()


async def _to_its_end(work: Coroutine[Any, Any, object]) -> None:
    """Await `work` to its end even if cancelled, so that Ctrl-C leaves nothing behind."""
    task, is_cancelled = asyncio.ensure_future(work), False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            is_cancelled = True
    task.result()
    if is_cancelled:
        raise asyncio.CancelledError


@contextlib.contextmanager
def _only_one(directory: Path) -> Iterator[None]:
    """Lock the demo's folder: two demos would share topics, and show each other's alerts."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StreamAppError(
                f"a demo is running already in {directory.absolute()}: stop it first, or look "
                f"around in it: {use_line(directory)}"
            ) from None
        yield
