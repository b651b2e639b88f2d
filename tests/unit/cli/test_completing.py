"""TAB offers topics and states without Kafka, and never hangs or writes into the shell."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from click.shell_completion import ShellComplete

from stream_app.cli import COMPLETE_VARIABLE, cli
from stream_app.cli.completing import ObjectId
from tests.contract.command_output import walk


def offered(*args: str, typed: str = "") -> list[str]:
    shell = ShellComplete(cli, {}, "stream-app", COMPLETE_VARIABLE)
    return [item.value for item in shell.get_completions(list(args), typed)]


@pytest.mark.parametrize(
    ("args", "typed", "offers"),
    [
        (("dlq", "list"), "events.h", ["events.hits"]),
        (("dlq", "redrive"), "del", ["deliveries"]),
        (("dlq", "show"), "al", ["alerts"]),
        (("replay",), "events.a", ["events.attacks", "events.account"]),
        (("replay", "copy"), "config.c", ["config.clients"]),
        (("validate",), "deliveries", ["deliveries", "deliveries.dlq"]),
        (("alerts", "list", "--state"), "s", ["sent"]),
        (("dlq", "list", "--reason"), "st", ["stale"]),
        (("delete",), "t", ["triggers"]),
    ],
)
def test_what_is_known_is_offered_without_kafka(
    args: tuple[str, ...], typed: str, offers: list[str]
) -> None:
    assert offered(*args, typed=typed) == offers


def test_every_id_of_an_object_is_completed() -> None:
    plain = [
        f"{name}: {option.name}"
        for name, command in walk(cli)
        for option in command.params
        if option.name in ("client_id", "only_client", "trigger_id", "integration_id", "object_id")
        and not isinstance(option.type, ObjectId)
    ]
    assert plain == []


@pytest.fixture
def silent() -> Iterator[str]:
    """Return the address of a server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield "{}:{}".format(*server.getsockname())


@pytest.mark.parametrize("servers", ["127.0.0.1:1", "silent", "no address", ""])
def test_without_ids_nothing_is_offered_and_nothing_is_said(
    servers: str, silent: str, tmp_path: object
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "stream_app"],
        env=os.environ
        | {
            COMPLETE_VARIABLE: "bash_complete",
            "COMP_WORDS": "stream-app integrations enable 5",
            "COMP_CWORD": "3",
            "STREAM_APP_EMBEDDED__DIRECTORY": str(tmp_path),
            "STREAM_APP_KAFKA__BOOTSTRAP_SERVERS": silent if servers == "silent" else servers,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")


def test_a_number_is_still_what_an_id_is() -> None:
    with pytest.raises(click.BadParameter, match="'x' is not a valid integer"):
        ObjectId().convert("x", None, None)
