"""What `replay copy` refuses before it asks a broker: there is none here."""

from __future__ import annotations

import re

import click
import pytest

from stream_app.cli import cli
from stream_app.domain.errors import UsageError

TO = ("--to-prefix", "trial.")
LEFT = "events.hits=0:5"


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["events.hits", "--to-prefix", "live."], "is the installation that is read"),
        (["-", *TO], "cannot be copied"),
        (["alerts", *TO], "alerts holds no events"),
        (["config.clients", "events.hits", *TO], "copy the configuration first"),
        (["config.triggers", *TO, "--shift-to-now"], "copy the configuration first"),
        (["events.hits", *TO, "--resume", "x"], "as the interrupted run printed it"),
        (["events.hits", *TO, "--resume", LEFT, "--from", "1h"], "leave --from and --to out"),
        (["events.hits", *TO, "--resume", LEFT, "--shift-to-now"], "leave --shift-to-now out"),
        (["config.triggers", *TO, "--resume", "config.triggers=0:5+7s"], "without a shift"),
        (["events.attacks", *TO, "--resume", LEFT], "not among the topics given"),
        (["events.hits", *TO, "--from", "1h", "--to", "2h"], "nothing lies between them"),
    ],
)
def test_options_that_exclude_each_other_are_a_usage_error(
    args: list[str], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAM_APP_TOPIC_PREFIX", "live.")
    monkeypatch.setenv("STREAM_APP_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1")
    with pytest.raises(UsageError, match=text):
        cli.main(["replay", "copy", *args], standalone_mode=False)


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["events.hits", "--to-prefix", "trial."], "No such option: --to-prefix"),
        (["copy", "events.hits"], "Missing parameter: to_prefix"),
        (["copy", *TO], "Missing parameter: topics"),
        ([], "Missing parameter: topics"),
    ],
)
def test_replay_and_its_copy_have_options_of_their_own(args: list[str], text: str) -> None:
    with pytest.raises(click.UsageError, match=re.escape(text)):
        cli.main(["replay", *args], standalone_mode=False)


def test_only_the_first_argument_can_be_the_command() -> None:
    with pytest.raises(UsageError, match="copy holds no events"):
        cli.main(["replay", "events.hits", "copy"], standalone_mode=False)
