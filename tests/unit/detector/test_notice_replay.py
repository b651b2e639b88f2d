"""What a replay of notices reports about the notices that it has read."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from stream_app.cli.replay.report import figures_text
from stream_app.detector.notice_replay import NoticeReplay
from stream_app.domain.configuration.integrations import Integration
from stream_app.kafka.cluster.topics import TopicNames
from stream_app.kafka.configuration.view import Configuration
from tests.unit.detector.test_match import ACME, NEW_USER, notice, trigger


def replayed(*values: bytes) -> NoticeReplay:
    configuration = Configuration()
    configuration.clients = {1111: ACME}
    subscribed = Integration(521, 1111, "", True, "opsgenie", "", "", ("system",))
    configuration.integrations = {521: subscribed}
    configuration.triggers = {61: trigger(61)}
    configuration.version += 1
    replay = NoticeReplay(configuration, TopicNames("p."))
    for number, value in enumerate(values):
        record: Any = SimpleNamespace(
            offset=number, timestamp=1000 * number, key=b"1111", value=value, headers=()
        )
        replay.replay(0, [record])
    return replay


def test_every_notice_is_counted_in_the_figures() -> None:
    new_user = notice("create_user", details=NEW_USER)
    replay = replayed(
        notice(), new_user, notice("ip_blocked"), notice("never_heard_of"), b"{",
        notice("never_heard_of"), notice(client_id=2), notice("vuln"),
    )  # fmt: skip
    figures = replay.figures
    # `create_user` makes two alerts, one of them of the trigger, and is one notice.
    assert len(list(replay.alerts())) == 3
    assert figures.results == {"matched": 2, "unsubscribed": 1, "unknown_kind": 2}
    assert figures.rejected == {"undecodable": 1, "unknown_client": 1, "wrong_type": 1}


def test_unknown_kinds_of_notices_are_named_in_the_summary() -> None:
    text = figures_text(replayed(notice("never_heard_of")).figures)
    assert text == "1 unknown kind"
    assert figures_text(replayed().figures) == "nothing counted"
