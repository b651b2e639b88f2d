"""`stream-app sandbox fail|faults|heal`: make requests to a running sandbox fail."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import click
import httpx

from stream_app.cli.output import print_json, print_table, say
from stream_app.domain.errors import InvalidObjectError, StreamAppError, UsageError
from stream_app.opsgenie.sandbox.control import FAULTS_PATH
from stream_app.opsgenie.sandbox.fault import KIND_TEXTS, FaultKind, Operation, parse_fault
from stream_app.opsgenie.sandbox.service import SANDBOX_HEADERS

DEFAULT_URL = "http://127.0.0.1:8480"
TIMEOUT_SECONDS = 5.0
KIND_LINES = "\n".join(f"  {kind:<12} {text}" for kind, text in KIND_TEXTS.items())
#: Fields that have columns of their own.
SHOWN_APART = ("id", "kind", "on", "key", "failed", "requests_left", "seconds_left")

_Command = Callable[..., None]


def url_option(command: _Command) -> _Command:
    """Add the option that names the sandbox."""
    return click.option(
        "--url",
        default=DEFAULT_URL,
        envvar="STREAM_APP_DELIVERY__SANDBOX_URL",
        show_envvar=True,
        show_default=True,
        help="Base URL of the sandbox.",
    )(command)


@click.command(
    help="Make requests to a running sandbox fail.\n\nKIND is one of\n\n\b\n"
    f"{KIND_LINES}\n\nWithout --requests and --seconds a fault stays on until `stream-app sandbox "
    "heal`. Faults for the same requests come one after the other.",
    epilog="Example: stream-app sandbox fail status --status 503 --requests 3",
)
@click.argument("kind", metavar="KIND", type=click.Choice([kind.value for kind in FaultKind]))
@click.option("--requests", type=int, help="Only for this many requests.")
@click.option("--seconds", type=float, help="Only for this long.")
@click.option("--key-end", help="Only with the API key that ends with these four characters.")
@click.option(
    "--key", help="Only with this API key; --key-end keeps it out of the shell's history."
)
@click.option(
    "--on",
    type=click.Choice([name.value for name in Operation]),
    multiple=True,
    help="Which requests fail; may be given several times.  [default: create]",
)
@click.option("--status", type=int, help="For status (default 500) and redirect (default 302).")
@click.option("--per-second", type=float, help="For rate-limit: this many requests of a key pass.")
@click.option("--retry-after", help="For rate-limit: the Retry-After header, sensible or not.")
@click.option("--period", help="For rate-limit: the X-RateLimit-Period-In-Sec header.")
@click.option(
    "--interval-seconds", type=float, help="For drip: time between two bytes (default 0.1)."
)
@url_option
@click.option("--json", "as_json", is_flag=True, help="Print the fault as JSON.")
def fail(url: str, *, on: tuple[str, ...], as_json: bool, **fields: Any) -> None:
    """Check the fault here, so that errors name options, then set it on the sandbox."""
    named = {name: value for name, value in fields.items() if value is not None}
    if on:
        named["on"] = list(dict.fromkeys(on))
    try:
        parse_fault(named)
    except InvalidObjectError as error:
        raise UsageError(f"--{str(error).replace('_', '-', error.path.count('_'))}") from None
    added = _call(url, "POST", FAULTS_PATH, named)
    if as_json:
        print_json(added)
    else:
        say(f"fault {added['id']}: {describe_fault(added)}")


@click.command(epilog="Example: stream-app sandbox faults --json")
@url_option
@click.option("--json", "as_json", is_flag=True, help="Print each as JSON, one per line.")
def faults(url: str, *, as_json: bool) -> None:
    """List what fails in a running sandbox, and how much of it is left."""
    found = _call(url, "GET", FAULTS_PATH)
    if as_json:
        for row in found:
            print_json(row)
    elif found:
        print_table(
            ("ID", "KIND", "WITH", "ON", "KEY", "FAILED", "LEFT"),
            [
                (
                    row["id"], row["kind"], _details(row), ", ".join(row["on"]),
                    row["key"] or "all", row["failed"], _left(row),
                )
                for row in found
            ],
        )  # fmt: skip
    else:
        say("nothing fails on demand: `stream-app sandbox fail --help` tells what can")


@click.command(epilog="Example: stream-app sandbox heal")
@click.argument("fault_ids", metavar="[ID]...", type=click.IntRange(min=1), nargs=-1)
@url_option
@click.option(
    "--json", "as_json", is_flag=True, help="Print each that was on as JSON, one per line."
)
def heal(url: str, *, fault_ids: tuple[int, ...], as_json: bool) -> None:
    """End failures of a running sandbox: all, or those with these ids."""
    paths = [f"{FAULTS_PATH}/{number}" for number in fault_ids] or [FAULTS_PATH]
    ended = []
    for path in paths:
        for row in _call(url, "DELETE", path):
            ended.append(row)
            say(f"fault {row['id']} ended: {row['kind']}, it has failed {_requests(row['failed'])}")
    if as_json:
        for row in ended:
            print_json(row)
    elif not ended:
        say("nothing failed on demand")


def describe_fault(row: dict[str, Any]) -> str:
    """Return a fault as a line for a person."""
    details = _details(row)
    whose = f" with the key {row['key']}" if row["key"] else ""
    return (
        f"{row['kind']}{f' ({details})' if details else ''} for {', '.join(row['on'])} "
        f"requests{whose}, {_left(row)}"
    )


def _details(row: dict[str, Any]) -> str:
    named = {name: value for name, value in row.items() if name not in SHOWN_APART}
    # The column LEFT shows the limits.
    return ", ".join(
        f"{name} {value}" for name, value in named.items() if name not in ("requests", "seconds")
    )


def _left(row: dict[str, Any]) -> str:
    parts = []
    if row["requests_left"] is not None:
        parts.append(f"{_requests(row['requests_left'])} left")
    if row["seconds_left"] is not None:
        parts.append(f"{row['seconds_left']:.0f} s left")
    return ", ".join(parts) or "until healed"


def _requests(number: int) -> str:
    return "1 request" if number == 1 else f"{number} requests"


def _call(url: str, method: str, path: str, body: object = None) -> Any:
    """Ask the sandbox, and return its JSON.

    Raises:
        StreamAppError: nothing answers there, something else does, or the sandbox refuses.
    """
    content = None if body is None else json.dumps(body)
    try:
        with httpx.Client(timeout=TIMEOUT_SECONDS, trust_env=False) as http:
            response = http.request(method, url.rstrip("/") + path, content=content)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise StreamAppError(
            f"no sandbox answers at {url} ({str(error) or type(error).__name__}): start one with "
            "`stream-app sandbox`, or name it with --url"
        ) from None
    ((name, value),) = SANDBOX_HEADERS.items()
    if response.headers.get(name) != value:
        raise StreamAppError(f"{url} is no sandbox of stream-app: name one with --url")
    if response.is_error:
        said = response.json() if "json" in response.headers.get("Content-Type", "") else {}
        raise StreamAppError(f"{url}: {said.get('message') or f'HTTP {response.status_code}'}")
    return response.json()
