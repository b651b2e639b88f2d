"""What `replay copy` refuses before it asks a broker: there is none here."""

from __future__ import annotations

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
        (["events.hits", *TO, "--resume", "x"], "as the interrupted run has printed it"),
        (["events.hits", *TO, "--resume", LEFT, "--from", "-1h"], "leave --from and --to out"),
        (["events.hits", *TO, "--resume", LEFT, "--shift-to-now"], "leave --shift-to-now out"),
        (["config.triggers", *TO, "--resume", "config.triggers=0:5+7s"], "without a shift"),
        (["events.attacks", *TO, "--resume", LEFT], "not among the topics given"),
        (["events.hits", *TO, "--from", "-1h", "--to", "-2h"], "nothing lies between them"),
    ],
)
def test_what_does_not_go_together_is_a_usage_error(
    args: list[str], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAM_APP_TOPIC_PREFIX", "live.")
    monkeypatch.setenv("STREAM_APP_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1")
    with pytest.raises(UsageError, match=text):
        cli.main(["replay", "copy", *args], standalone_mode=False)
