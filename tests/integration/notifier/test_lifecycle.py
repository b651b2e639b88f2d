"""The life of an integration, and its announcements, on a real broker and a real sandbox."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from stream_app.cli.configuration.changes import carry_out
from stream_app.domain.configuration.kinds import Kind
from stream_app.domain.configuration.statuses import IntegrationStatus, encode_status
from stream_app.domain.errors import StreamAppError
from stream_app.domain.plans.plan import Action, Change
from stream_app.kafka.cluster.topic_creation import create_topics
from stream_app.kafka.configuration.records import read_statuses, read_stored
from stream_app.key_ring import generate_secret_key
from stream_app.opsgenie.sandbox.fault import Fault, FaultKind, Operation
from stream_app.opsgenie.sandbox.server import SandboxOpsgenie
from stream_app.settings import Settings
from tests.integration.harness import (
    PATIENCE_SECONDS,
    WorkerProcess,
    configure_topics,
    drained,
    put,
    put_objects,
    read_all,
)

KEY = "00000000-1111-2222-3333-444444444444"
SECRET_KEY = generate_secret_key()
CLIENT = {"client_id": 1111, "name": "Acme Retail", "cloud": "EU", "applications": {"7": "Shop"}}
CONFIG = ["config.triggers", "config.integrations", "config.clients"]


def trigger(number: int = 61, **changes: Any) -> dict[str, Any]:
    return {
        "id": number,
        "client_id": 1111,
        "name": f"Incidents {number}",
        "enabled": True,
        "template_id": "incidents_exceeded",
        "filters": [],
        "threshold": {"count": 1, "period": 1},
        "actions": [{"id": "send_notification", "params": {"integration_ids": [521]}}],
        **changes,
    }


class Place:
    """An installation of a test's own: its topics, its sandbox, its commands."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings
        self.sandbox = SandboxOpsgenie()
        self.url = ""
        self._folder = folder
        self._workers: list[WorkerProcess] = []

    async def start(self) -> None:
        await create_topics(self.settings)
        self.url = await self.sandbox.start()

    def fail(self, status: int, requests: int) -> None:
        """Let the next requests fail with a status."""
        self.sandbox.fail(Fault(kind=FaultKind.STATUS, status=status, requests=requests))

    async def stop(self) -> None:
        for worker in self._workers:
            worker.__exit__()
        await self.sandbox.stop()

    def integration(self, number: int = 521, **changes: Any) -> dict[str, Any]:
        return {
            "id": number,
            "client_id": 1111,
            "name": f"On-call {number}",
            "active": True,
            "type": "opsgenie",
            "target": {"token": KEY, "api": self.url},
            "events": [{"event": "system", "active": True}],
            **changes,
        }

    async def run(self, *args: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = await asyncio.to_thread(
            WorkerProcess.command,
            self.settings,
            *args,
            STREAM_APP_SECRET_KEYS=SECRET_KEY,
            STREAM_APP_DELIVERY__SANDBOX_URL=self.url,
            STREAM_APP_DELIVERY__RETRY_SCALE="0.01",
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert KEY not in done.stdout + done.stderr
        assert "sealed:v1" not in done.stdout + done.stderr
        return done

    async def apply(
        self, *objects: Any, flags: tuple[str, ...] = (), code: int = 0
    ) -> subprocess.CompletedProcess[str]:
        file = self._folder / "objects.json"
        file.write_text(json.dumps(objects))
        return await self.run("apply", "-f", str(file), *flags, code=code)

    async def stored(self, kind: Kind) -> dict[int, dict[str, object]]:
        return (await read_stored(self.settings))[kind]

    async def listed(self, number: int = 521) -> dict[str, Any]:
        lines = (await self.run("integrations", "list", "--json")).stdout.splitlines()
        found: dict[str, Any] = {row["id"]: row for row in map(json.loads, lines)}[number]
        return found

    async def judge(self, epoch: int) -> None:
        """Write the record of a judge that has disabled the integration."""
        status = IntegrationStatus(
            521, 1111, True, "failed_share", epoch, 18, 27, 12, time.time_ns() // 1_000_000
        )
        topic = f"{self.settings.topic_prefix}status.integrations"
        bootstrap = self.settings.kafka.bootstrap_servers or ""
        await put(bootstrap, topic, [(b"521", encode_status(status))])

    def detector(self) -> WorkerProcess:
        log = self._folder / f"detector.{len(self._workers)}"
        self._workers.append(WorkerProcess("detector", self.settings, log))
        return self._workers[-1]

    async def notices(self) -> list[dict[str, Any]]:
        """Return the notices as they were written, each under the key of its client."""
        name = f"{self.settings.topic_prefix}events.account"
        found = await read_all(self.settings.kafka.bootstrap_servers or "", name)
        records = sorted((r for rs in found.values() for r in rs), key=lambda r: r.timestamp)
        assert {record.key for record in records} <= {b"1111"}
        return [json.loads(record.value) for record in records]

    async def announced(self, number: int) -> dict[str, str]:
        """Wait for so many notices; return their types by their ids, which must differ."""
        async with asyncio.timeout(60):
            while len(found := await self.notices()) < number:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.2)
        types = {notice["id"]: notice["details"]["notification_type"] for notice in found}
        assert len(types) == len(found)
        return types


@pytest.fixture
async def place(settings: Settings, tmp_path: Path) -> AsyncIterator[Place]:
    found = Place(settings, tmp_path)
    await found.start()
    yield found
    await found.stop()


def shown(done: subprocess.CompletedProcess[str]) -> list[tuple[str, str, int]]:
    """Return action, kind and id of the changes that a command has printed as JSON."""
    return [(c["action"], c["kind"], c["id"]) for c in json.loads(done.stdout)["changes"]]


async def test_a_stored_integration_is_tested_all_the_way_and_nothing_is_written(
    place: Place,
) -> None:
    await place.apply(CLIENT, place.integration())
    done = await place.run("integrations", "test", "521", "--json")
    told = json.loads(done.stdout)
    assert (told["integration_id"], told["result"]) == (521, "ok")
    (alert,) = place.sandbox.alerts
    assert alert.message == "[Test message] [Wallarm] New user was added to the company account"
    assert (alert.status, alert.priority) == ("closed", "P5")
    assert alert.details["client_name"] == "Acme Retail"
    place.sandbox.fail(Fault(kind=FaultKind.STATUS, status=403, on=(Operation.CLOSE,)))
    refused = await place.run("integrations", "test", "521", "--silent", code=5)
    assert "key: failed: the key does not work: HTTP 403" in refused.stdout
    missing = await place.run("integrations", "test", "522", code=1)
    assert "integration 522 is not configured" in missing.stderr
    for topic in ("deliveries", "delivery-results", "events.account"):
        name = f"{place.settings.topic_prefix}{topic}"
        found = await read_all(place.settings.kafka.bootstrap_servers or "", name)
        assert not any(found.values())


async def test_an_integration_is_disabled_enabled_and_deleted(place: Place) -> None:
    await place.apply(CLIENT, place.integration(), trigger())
    created = await place.listed()
    assert (created["configured"], created["state"]) == ("active", "active")

    dry = await place.run("integrations", "disable", "521", code=2)
    assert dry.stdout.splitlines()[-1] == "nothing is done yet: add --yes to do it"
    as_json = await place.run("integrations", "disable", "521", "--json", code=2)
    assert json.loads(as_json.stdout)["dry_run"]
    assert "add --yes" in as_json.stderr
    assert place.sandbox.requests == []
    assert (await place.listed())["state"] == "active"

    done = await place.run("integrations", "disable", "521", "--yes")
    assert "integration 521: last message accepted after 1 request\n" in done.stderr
    (alert,) = place.sandbox.alerts
    assert alert.message == "[Wallarm] Integration was disabled"
    assert alert.details["client_name"] == "Acme Retail"
    assert alert.details["notification_type"] == "disable_integration"
    assert alert.details["integration_id"] == "521"
    assert alert.details["actor"] == "stream-app integrations disable"
    off = await place.listed()
    assert (off["configured"], off["state"], off["epoch"]) == ("off", "off", created["epoch"])
    again = await place.run("integrations", "disable", "521", "--yes", "--json")
    assert shown(again) == [("unchanged", "integration", 521)]

    await place.run("integrations", "enable", "521")
    on = await place.listed()
    assert (on["configured"], on["state"]) == ("active", "active")
    assert on["epoch"] > created["epoch"]

    await place.run("integrations", "delete", "521", code=2)
    assert 521 in await place.stored(Kind.INTEGRATION)
    await place.judge(epoch=0)
    await place.run("integrations", "delete", "521", "--yes")
    assert await place.stored(Kind.INTEGRATION) == {}
    assert await read_statuses(place.settings) == {}
    assert [a.message for a in place.sandbox.alerts][-1] == "[Wallarm] Integration was deleted"
    assert "521" in json.dumps((await place.stored(Kind.TRIGGER))[61]["actions"])
    assert "not configured" in (await place.run("integrations", "enable", "521", code=1)).stderr


async def test_what_the_system_has_disabled_stays_so_until_it_is_enabled(place: Place) -> None:
    await place.apply(CLIENT, place.integration())
    epoch = (await place.listed())["epoch"]
    await place.judge(epoch)
    row = await place.listed()
    assert (row["configured"], row["state"]) == ("active", "disabled")
    assert row["detail"] == "failed_share: 18 of 27 requests failed in 12 h"
    assert row["state_since_at"].endswith("Z")
    done = await place.apply(CLIENT, place.integration(name="Renamed"))
    assert "disabled by the system, and stays so: `stream-app integrations enable 521`" in (
        done.stdout
    )
    off = await place.apply(place.integration(active=False))
    await place.apply(place.integration())
    assert "last message" not in off.stderr, "it gets no more messages"
    assert (await place.listed())["state"] == "disabled"
    await place.run("integrations", "enable", "521")
    assert (await place.listed())["state"] == "active"
    assert await read_statuses(place.settings) == {}
    await place.judge(epoch)  # of a judge that had not heard of it
    assert (await place.listed())["state"] == "active"
    assert place.sandbox.requests == []


async def test_a_last_message_is_resent_and_its_failure_stops_nothing(place: Place) -> None:
    await place.apply(CLIENT, place.integration(), place.integration(522))
    place.fail(500, 1)
    place.fail(503, 1)
    done = await place.run("integrations", "disable", "521", "--yes")
    assert "last message accepted after 3 requests" in done.stderr
    assert [(a.message, a.requests) for a in place.sandbox.alerts] == [
        ("[Wallarm] Integration was disabled", 1)
    ]
    place.fail(500, 6)
    done = await place.run("delete", "integrations", "522", "--yes")
    assert "integration 522: last message not accepted after 6 requests: " in done.stderr
    assert place.sandbox.faults == []
    assert list(await place.stored(Kind.INTEGRATION)) == [521]


async def test_no_last_message_without_system_or_when_it_is_not_wanted(place: Place) -> None:
    quiet = place.integration(522, events=[])
    await place.apply(CLIENT, place.integration(), quiet)
    await place.run("integrations", "disable", "521", "--yes", "--no-notify")
    await place.run("integrations", "delete", "521", "--yes")
    await place.run("integrations", "disable", "522", "--yes")
    assert place.sandbox.requests == []


async def test_a_command_does_not_undo_what_another_has_written_meanwhile(place: Place) -> None:
    await place.apply(CLIENT, place.integration())
    stored = await read_stored(place.settings)
    before = stored[Kind.INTEGRATION][521]
    await place.apply(place.integration(name="Renamed"))
    stale = Change(Kind.INTEGRATION, 521, Action.UPDATED, before | {"active": False}, ())
    for notify in (True, False):
        with pytest.raises(StreamAppError, match="integration 521 has been changed by another"):
            await carry_out(place.settings, [stale], stored, {}, actor="test", notify=notify)
    assert place.sandbox.requests == [], "nobody is told of what is not done"
    assert (await place.stored(Kind.INTEGRATION))[521]["name"] == "Renamed"


async def test_what_get_prints_can_be_applied_unchanged(place: Place, tmp_path: Path) -> None:
    named = place.integration(
        522, target={"token": "env:STREAM_APP_KEY_1111_ACME", "api": place.url}
    )
    alert = {"priority": "P2", "tags": ["waf"], "responders": [{"type": "team", "name": "SOC"}]}
    await place.apply(CLIENT, place.integration(alert=alert), named, trigger())
    before = await read_stored(place.settings)
    files = []
    for kind, form in (("clients", "yaml"), ("integrations", "json"), ("triggers", "yaml")):
        file = tmp_path / f"{kind}.{form}"
        file.write_text((await place.run("get", kind, "-o", form)).stdout)
        files += ["-f", str(file)]
    printed = (await place.run("get", "integrations", "-o", "yaml")).stdout
    objects = list(yaml.safe_load_all(printed))
    assert [obj.get("alert") for obj in objects] == [alert, None]
    tokens = [obj["target"]["token"] for obj in objects]
    assert tokens == ["(sealed)", "env:STREAM_APP_KEY_1111_ACME"]
    again = await place.run("apply", *files, "--json")
    assert {action for action, _, _ in shown(again)} == {"unchanged"}
    assert await read_stored(place.settings) == before
    table = (await place.run("get", "integrations", "522")).stdout
    assert "env:STREAM_APP_KEY_1111_ACME" in table
    assert "(sealed)" not in table
    assert (await place.run("get", "triggers", "--client", "2222", "--json")).stdout == ""
    assert (
        "trigger 99 is not configured" in (await place.run("get", "triggers", "99", code=1)).stderr
    )


async def test_pruning_needs_a_yes_and_deletes_what_the_files_do_not_hold(place: Place) -> None:
    await place.apply(CLIENT, place.integration(), place.integration(522), trigger(), trigger(62))
    files = (place.integration(), trigger())
    shy = await place.apply(*files, flags=("--prune", "--json"), code=2)
    gone = [("deleted", "trigger", 62), ("deleted", "integration", 522)]
    assert shown(shy)[2:] == gone
    assert "add --yes" in shy.stderr
    assert list(await place.stored(Kind.TRIGGER)) == [61, 62]
    dry = await place.apply(*files, flags=("--prune", "--dry-run", "--json"))
    assert shown(dry)[2:] == gone
    assert list(await place.stored(Kind.TRIGGER)) == [61, 62]
    done = await place.apply(*files, flags=("--prune", "--yes", "--json"))
    assert shown(done)[2:] == gone
    assert list(await place.stored(Kind.TRIGGER)) == [61]
    assert list(await place.stored(Kind.INTEGRATION)) == [521]
    assert [a.message for a in place.sandbox.alerts] == ["[Wallarm] Integration was deleted"]
    nothing = await place.apply(*files, flags=("--prune",))
    assert nothing.stderr.endswith("applied: 0 created, 0 updated, 2 unchanged, 0 deleted\n")


async def test_a_client_with_objects_left_is_not_deleted(place: Place) -> None:
    await place.apply(CLIENT, place.integration(events=[]), trigger())
    refused = await place.run("delete", "clients", "1111", "--yes", code=3)
    assert "first `stream-app delete triggers 61 --yes`, then " in refused.stderr
    assert "`stream-app delete integrations 521 --yes`" in refused.stderr
    await place.run("delete", "triggers", "61", "--yes")
    await place.run("delete", "integrations", "521", "--yes")
    await place.run("delete", "clients", "1111", code=2)
    assert list(await place.stored(Kind.CLIENT)) == [1111]
    await place.run("delete", "clients", "1111", "--yes")
    assert await read_stored(place.settings) == {kind: {} for kind in Kind}


@pytest.mark.long
async def test_each_change_is_announced_once_even_across_restarts(place: Place) -> None:
    quiet: dict[str, Any] = {"events": []}
    await place.apply(CLIENT, place.integration(**quiet), trigger())
    first = await place.detector().ready()
    await drained(place.settings, "detector", CONFIG)
    assert await place.notices() == [], "a first start announces nothing"

    await place.apply(trigger(name="Renamed"), trigger(62), place.integration(522, **quiet))
    assert sorted((await place.announced(2)).values()) == ["trigger_create", "trigger_update"]
    notice = (await place.notices())[0]
    assert notice["client_id"] == 1111
    assert notice["details"]["client_name"] == "Acme Retail"
    assert notice["details"]["actor"] == "stream-app apply"
    assert notice["id"].startswith("config.triggers/")

    assert first.stop() == 0
    await place.run("integrations", "disable", "521", "--yes")  # while no detector runs
    await place.run("delete", "triggers", "62", "--yes")
    second = await place.detector().ready()
    assert sorted((await place.announced(4)).values())[:2] == [
        "disable_integration",
        "trigger_create",
    ]
    disabled = (await place.notices())[-2:]
    assert {notice["details"]["actor"] for notice in disabled} == {
        "stream-app delete",
        "stream-app integrations disable",
    }

    await drained(place.settings, "detector", CONFIG)
    second.kill()
    renamed = CLIENT | {"applications": {"7": "Web shop", "8": "Blog"}}
    await place.apply(renamed)
    await place.run("integrations", "enable", "521")
    await place.run("integrations", "delete", "522", "--yes")
    third = await place.detector().ready()
    types = await place.announced(7)
    assert sorted(types.values()) == [
        "create_application",
        "delete_integration",
        "disable_integration",
        "trigger_create",
        "trigger_delete",
        "trigger_update",
        "update_application",
    ]
    await drained(place.settings, "detector", CONFIG)
    third.kill()
    await place.detector().ready()
    await place.apply(trigger(name="Renamed again"))
    assert len(await place.announced(8)) == 8, "nothing was announced again before that"


async def test_a_change_made_before_the_second_start_is_announced(place: Place) -> None:
    """A detector that has seen no record at all still knows where announcing begins."""
    first = await place.detector().ready()
    await eventually(lambda: "announcing_begins" in first.text)
    first.kill()
    await place.apply(CLIENT, place.integration(), trigger())
    await place.detector().ready()
    assert list((await place.announced(1)).values()) == ["trigger_create"]


async def eventually(claim: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not claim():  # noqa: ASYNC110 - the claim is about other processes
            await asyncio.sleep(0.02)


async def test_a_compacted_topic_with_gaps_is_followed(place: Place) -> None:
    """The broker keeps only the last of forty changes of each object: offsets have gaps."""
    settings = place.settings
    topic, bootstrap = f"{settings.topic_prefix}config.triggers", settings.kafka.bootstrap_servers
    assert bootstrap is not None
    quick = {"segment.ms": "100", "min.cleanable.dirty.ratio": "0.001"}
    quick |= {"cleanup.policy": "compact", "max.compaction.lag.ms": "100"}
    await configure_topics(bootstrap, {topic: quick})
    await place.apply(CLIENT, place.integration(events=[]))
    await put_objects(
        settings, "config.triggers", [trigger(61 + n % 3, name=f"Name {n}") for n in range(40)]
    )
    async with asyncio.timeout(60):
        while True:
            await put_objects(settings, "config.triggers", [trigger(61, name="rolls the segment")])
            records = (await read_all(bootstrap, topic))[0]
            if records[-1].offset + 1 > 2 * len(records):
                break
            await asyncio.sleep(1)
    worker = await place.detector().ready()
    await place.apply(trigger(62, name="After"))
    (notice_id,) = await place.announced(1)
    assert notice_id == f"config.triggers/{(await read_all(bootstrap, topic))[0][-1].offset}"
    worker.kill()
    await place.detector().ready()
    await place.run("delete", "triggers", "63", "--yes")
    assert list((await place.announced(2)).values()) == ["trigger_update", "trigger_delete"]
    assert "a batch got lost" not in worker.text
