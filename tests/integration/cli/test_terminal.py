"""Every command on a terminal, with hostile names and texts: each is shown as written.

All configuration, alerts, deliveries, results, dead letters and events of one installation are
hostile. Only our own styles may act on the terminal, so that a person sees the texts themselves.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from stream_app.domain.foreign_text.printable import printable
from stream_app.kafka.cluster.topic_creation import create_topics
from stream_app.settings import Settings
from tests.conftest import shared_kafka
from tests.integration.harness import environment, put
from tests.unit.cli.test_every_command import LEAVES

#: A hostile name, and how it is shown.
NAME = (
    "Notify [/marketing] [on hold] :100: [link=https://evil.example]x[/link] \x1b]0;pwned\x07"
    "\x1b[2J\x9b31m a\u202eb\u2066c \u200bz\u2028 r\rn\nt\t \x7f"
    f"o{9 * chr(0x301)}"
)
SHOWN = (
    r"Notify [/marketing] [on hold] :100: [link=https://evil.example]x[/link] \x1b]0;pwned\x07"
    r"\x1b[2J\x9b31m a\u202eb\u2066c \u200bz\u2028 r\rn\nt\t \x7f"
    f"o{4 * chr(0x301)}" + 5 * r"\u0301"
)
LONG = "[red]L" * 1700
ID = "stream-app:1111:incidents_exceeded:100:[/b]\x1b[2J"
SHOWN_ID = r"stream-app:1111:incidents_exceeded:100:[/b]\x1b[2J"
DAY = 1_767_225_600
#: Our own styles: colours and weights, and the progress line that is painted over.
OURS = re.compile(rb"\x1b\[[0-9;]*m|\r\x1b\[2K|\r\n")
SURROGATE = b"not \\ud800 whole"


def trigger(number: int, name: str, **fields: object) -> dict[str, Any]:
    return {
        "id": number,
        "client_id": 1111,
        "name": name,
        "enabled": True,
        "template_id": "incidents_exceeded",
        "filters": [{"id": "domain", "operator": "eq", "values": ["a.example"]}],
        "threshold": {"count": 1, "period": 1},
        "actions": [{"id": "send_notification", "params": {"integration_ids": [521]}}],
        **fields,
    }


def integration(number: int, name: str, api: str) -> dict[str, Any]:
    return {
        "id": number,
        "client_id": 1111,
        "name": name,
        "active": True,
        "type": "opsgenie",
        "target": {"token": "env:STREAM_APP_KEY_1111_ACME", "api": api},
        "events": [{"event": "system", "active": True}],
    }


def alert(name: str, alert_id: str) -> dict[str, Any]:
    return {
        "type": "trigger", "id": alert_id, "client_id": 1111, "client_name": name, "cloud": name,
        "applications": {"7": name}, "integration_ids": [521, 522], "window_start": DAY,
        "window_end": DAY + 1,
        "trigger": {
            "id": 61, "name": name, "template_id": "incidents_exceeded", "revision": "r",
            "threshold": {"count": 1, "period": 1},
            "filters": [{"id": "domain", "operator": "eq", "values": [name]}],
        },
    }  # fmt: skip


def records() -> dict[str, list[tuple[bytes | None, bytes | None]]]:
    """Return (key, value) records by topic."""
    client = {"client_id": 1111, "name": NAME, "cloud": "EU", "applications": {"7": NAME}}
    objects: dict[str, list[dict[str, Any]]] = {
        "config.clients": [client],
        "config.integrations": [
            integration(521, NAME, "https://api.opsgenie.com/v2/alerts"),
            integration(522, LONG, "https://[red]\x1b[2J"),
            integration(523, "", "https://api.opsgenie.com/v2/alerts"),
        ],
        "config.triggers": [
            trigger(61, NAME),
            trigger(62, LONG, template_id=NAME),
            trigger(63, "", filters=[{"id": NAME, "operator": NAME, "values": [NAME]}]),
        ],
        "status.integrations": [
            {
                "integration_id": 523, "client_id": 1111, "disabled": True, "reason": NAME,
                "epoch": 0, "failed": 9, "total": 17, "window_hours": 12, "since_ms": DAY * 1000,
            }
        ],
        "alerts": [alert(NAME, ID), alert(LONG, f"{ID}2"), alert("", NAME)],
        "deliveries": [
            {
                "id": f"{ID}/521", "alert_id": ID, "client_id": 1111, "integration_id": 521,
                "message": NAME, "description": f"{NAME}\nlines\n{LONG}", "details": {NAME: NAME},
            }
        ],
        "delivery-results": [
            {
                "type": "attempt", "delivery_id": f"{ID}/521", "client_id": 1111,
                "integration_id": 521, "integration_type": NAME, "attempt": 1, "accepted": False,
                "reason": NAME, "message": NAME, "finished_at_ms": int(time.time() * 1000),
                "duration_seconds": 1.0, "status": 422, "request_id": NAME,
            }
        ],
        "events.incidents": [
            {"client_id": 1111, "first_time": DAY, "domain": NAME, "type": NAME, "id": NAME},
            {"client_id": NAME, "first_time": NAME, NAME: NAME},
        ],
    }  # fmt: skip
    found: dict[str, list[tuple[bytes | None, bytes | None]]] = {
        topic: [(str(row.get("id", row.get("client_id"))).encode(), json.dumps(row).encode())
                for row in rows]
        for topic, rows in objects.items()
    }  # fmt: skip
    found["status.integrations"] = [(b"523", found["status.integrations"][0][1])]
    found["config.triggers"].append((b"64", b'{"id": 64, "name": "' + SURROGATE + b'"}'))
    found["events.incidents"] += [(NAME.encode(), b"\xff\xfe\x1b[2J"), (None, NAME.encode())]
    return found


LETTER_HEADERS: list[tuple[str, bytes]] = [
    ("x-original-topic", NAME.encode()),
    ("x-original-offset", b"1"),
    ("x-original-timestamp", b"9" * 5000),
    ("x-error-reason", NAME.encode()),
    ("x-error-message", NAME.encode() + b"\xff\x9b"),
    ("x-event-index", NAME.encode()),
    (NAME, NAME.encode()),
    ("trace", b"\xfe\xff\x1b[2J"),
]


async def write(settings: Settings) -> None:
    await create_topics(settings)
    bootstrap = settings.kafka.bootstrap_servers or ""
    for topic, rows in records().items():
        await put(bootstrap, f"{settings.topic_prefix}{topic}", rows)
    for topic, payload in (
        ("deliveries", NAME.encode()),
        ("events.incidents", b'{"a": "\\u001b\xc2\x9b"}'),
    ):
        await put(
            bootstrap, f"{settings.topic_prefix}{topic}.dlq", [(NAME.encode(), payload)],
            headers=LETTER_HEADERS, partition=0,
        )  # fmt: skip


class Sandbox(BaseHTTPRequestHandler):
    """Answers like a sandbox whose faults are hostile."""

    def _answer(self) -> None:
        row = {
            "id": 1, "kind": NAME, "on": [NAME], "key": NAME, "failed": 0, "requests_left": None,
            "seconds_left": None, NAME: NAME, "half": "\ud800",
        }  # fmt: skip
        body = json.dumps(row if self.command == "POST" else [row]).encode()
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(200)
        self.send_header("X-Sandbox", "stream-app")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_DELETE = _answer  # noqa: N815 - names of the library

    def log_message(self, *_: object) -> None:
        """Say nothing."""


Seen = dict[str, tuple[int, bytes]]
BAD_SETTING = {"STREAM_APP_LOG__LEVEL": NAME.replace("\n", " ")}


def cases(folder: Path, url: str) -> dict[str, list[tuple[list[str], dict[str, str]]]]:
    """Return how each command is called: its arguments behind its name, and its environment."""
    good, bad, odd = folder / "good.json", folder / "bad.json", folder / "odd \x1b[2J\u202e.yaml"
    client = {"kind": "client", "client_id": 1111, "name": f"{NAME} new", "cloud": "EU"}
    plan = [client | {"applications": {"7": "x"}}, trigger(65, NAME), trigger(61, f"{NAME}!")]
    good.write_text(json.dumps(plan))
    bad.write_text(json.dumps([trigger(66, NAME) | {NAME: NAME, "template_id": NAME},
                               {"kind": NAME, "name": NAME}]))  # fmt: skip
    odd.write_bytes(b"a: \x1b[2J\n")
    here = str(folder)
    none: dict[str, str] = {}
    return {
        "alerts explain": [
            (["events.incidents/0/0"], none), (["events.incidents/0/0", "--json"], none),
            (["--trigger", "61", "--at", "1h"], none), ([NAME], none),
        ],
        "alerts list": [([], none), (["--json"], none), (["--from", NAME], none)],
        "alerts show": [([ID], none), ([ID, "--json"], none), ([f"nobody{NAME}"], none)],
        "apply": [
            (["-f", str(good), "--dry-run"], none),
            (["-f", str(bad)], none),
            (["-f", str(odd)], none),
            (["-f", here + "/none\x1b[2J"], none),
        ],
        "cloud-ips": [(["--cloud", NAME], none)],
        "completion": [([NAME], none)],
        "delete": [(["triggers", "61"], none), (["triggers", NAME], none)],
        "demo": [(["--rate", NAME], none)],
        "dlq dismiss": [(["--all"], none), (["--place", NAME], none)],
        "dlq list": [([], none), (["--json"], none), (["--summary"], none), ([NAME], none)],
        "dlq redrive": [(["--all", "--dry-run"], none), (["--place", NAME, "--dry-run"], none)],
        "dlq show": [
            (["deliveries.dlq/0/0"], none),
            (["events.incidents.dlq/0/0"], none),
            (["deliveries.dlq/0/0", "--raw"], none),
            (["deliveries.dlq/0/0", "--json"], none),
            ([NAME], none),
        ],
        "doctor": [([], none), ([], BAD_SETTING)],
        "get": [
            (["triggers"], none),
            (["clients"], none),
            (["integrations"], none),
            (["triggers", "-o", "yaml"], none),
            (["triggers", "--json"], none),
        ],
        "heartbeat": [
            ([], none),
            ([], {"STREAM_APP_HEARTBEAT__TARGET": NAME}),
            ([], {"STREAM_APP_HEARTBEAT__TARGET": "url", "STREAM_APP_HEARTBEAT__URL": NAME,
                  "STREAM_APP_HEARTBEAT__URL_HOSTS": NAME}),
            (["--json"], {"STREAM_APP_HEARTBEAT__TARGET": "opsgenie",
                          "STREAM_APP_HEARTBEAT__NAME": NAME,
                          "STREAM_APP_HEARTBEAT__INTEGRATION_ID": "521"}),
        ],
        "integrations delete": [(["521"], none)],
        "integrations disable": [(["521"], none)],
        "integrations enable": [(["522"], none)],
        "integrations list": [([], none)],
        "integrations test": [(["522"], none), (["-f", str(bad)], none)],
        "kafka start": [([], BAD_SETTING)],
        "kafka status": [([], {"STREAM_APP_EMBEDDED__DIRECTORY": f"{here}/\x1b[2J\u202e[red]"})],
        "kafka stop": [([f"--{NAME}"], none)],
        "replay": [(["events.incidents", "--compare"], none), ([NAME], none)],
        "replay copy": [(["events.incidents", "--to-prefix", NAME], none),
                        ([NAME, "--to-prefix", "x."], none)],
        "sample": [(["--topic", NAME], none), (["--count", "1", "--format", "kcat",
                                                "--topic", "events.hits"], none)],
        "sandbox": [(["--host", NAME], none)],
        "sandbox fail": [(["status", "--url", url], none), ([NAME], none)],
        "sandbox faults": [(["--url", url], none), (["--url", url, "--json"], none),
                           (["--url", f"http://{NAME}"], none)],
        "sandbox heal": [(["--url", url], none)],
        "secrets generate": [([NAME], none)],
        "secrets rotate": [(["--dry-run"], {"STREAM_APP_SECRET_KEYS": NAME})],
        "state reset": [([NAME], none)],
        "status": [([], none), (["--json"], none)],
        "topics check": [([], BAD_SETTING)],
        "topics create": [(["--dry-run"], {"STREAM_APP_TOPIC_PREFIX": NAME})],
        "topics list": [([], none)],
        "triggers backtest": [(["--trigger", "61"], none), (["-f", str(good)], none)],
        "validate": [(["events.incidents"], none), (["deliveries.dlq"], none), ([NAME], none)],
        "worker": [(["detector"], {"STREAM_APP_KAFKA__BOOTSTRAP_SERVERS": NAME}), ([NAME], none)],
    }  # fmt: skip


@pytest.fixture(scope="module")
def seen(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """Return what each call has written to its terminal, by the call's name."""
    folder = tmp_path_factory.mktemp("terminal")
    settings = Settings(
        kafka=shared_kafka(kafka),
        topic_prefix=f"t{uuid.uuid4().hex[:10]}.",
        partitions=1,
    )
    asyncio.run(write(settings))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Sandbox)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    calls = [
        {"name": f"{name} {number}", "args": [*name.split(), *args], "env": env}
        for name, ways in cases(folder, f"http://127.0.0.1:{server.server_port}").items()
        for number, (args, env) in enumerate(ways)
    ]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "tests.integration.cli.on_terminal"],
            input=json.dumps(calls),
            env=environment(settings, STREAM_APP_KEY_1111_ACME="k" * 36, TERM="xterm-256color"),
            capture_output=True,
            text=True,
            timeout=280,
            check=True,
        )
    finally:
        server.shutdown()
        server.server_close()
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == len(calls), done.stderr
    return {name: (code, base64.b64decode(written)) for name, code, written in rows}


def text_of(written: bytes) -> str:
    """Return what a person sees: without our own styles, which is all that may act."""
    return OURS.sub(lambda found: b"\n" if found[0].startswith(b"\r") else b"", written).decode()


def test_every_command_is_tried_with_hostile_texts(tmp_path: Path) -> None:
    assert sorted(cases(tmp_path, "http://127.0.0.1:1")) == LEAVES


def test_no_hostile_text_acts_on_the_terminal(seen: Seen) -> None:
    wrong = {}
    for name, (_, written) in seen.items():
        lines = text_of(written).replace("\t", " ", 1 if name == "sample 1" else 0).split("\n")
        bad = [line for line in lines if printable(line) != line]
        if bad or "Traceback" in "".join(lines):
            wrong[name] = bad or lines[-5:]
    assert wrong == {}


@pytest.mark.parametrize(
    ("call", "text"),
    [
        *((name, SHOWN) for name in (
            "get 0", "get 1", "get 2", "alerts list 0", "alerts show 0", "status 0",
            "integrations list 0", "integrations disable 0", "integrations delete 0", "delete 0",
            "apply 0", "dlq list 0", "dlq list 2", "dlq show 0", "replay 0",
            "sandbox faults 0", "sandbox fail 0", "sandbox heal 0", "triggers backtest 0",
        )),
        ("alerts list 0", SHOWN_ID),
        ("alerts show 0", SHOWN_ID),
        ("dlq show 0", r"\xfe\xff\x1b[2J"),
        ("apply 2", r"odd \x1b[2J\u202e.yaml"),
        ("apply 3", r"none\x1b[2J"),
        ("alerts list 2", r"\x1b]0;pwned\x07"),
        ("worker 0", r"\x1b]0;pwned\x07"),
        ("dlq show 2", r"\x1b]0;pwned\x07"),
        ("sandbox 0", r"\x1b]0;pwned\x07"),
        ("kafka status 0", r"\x1b[2J\u202e[red]"),
    ],
)  # fmt: skip
def test_a_name_is_shown_as_it_is_written(seen: Seen, call: str, text: str) -> None:
    # A table wraps texts that are wider than its columns.
    assert re.sub(r"\s", "", text) in re.sub(r"\s", "", text_of(seen[call][1]))


@pytest.mark.parametrize(
    "call", ["alerts list 1", "alerts show 1", "get 4", "dlq list 1", "status 1"]
)
def test_json_on_a_terminal_means_what_the_record_says(seen: Seen, call: str) -> None:
    code, written = seen[call]
    assert code == 0
    rows = [
        json.loads(line) for line in text_of(written).splitlines() if line.startswith(("{", "["))
    ]
    assert any(text == NAME for row in rows for text in texts(row)), rows


def texts(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield name
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)
    elif isinstance(value, str):
        yield value
