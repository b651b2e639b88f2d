"""The command of a made-up newer version: it says that all it writes is a format higher."""

from __future__ import annotations

from stream_app.cli import main
from stream_app.domain import formats
from stream_app.domain.topics import Topic
from stream_app.kafka.dead_letters import writing
from stream_app.notifier import deliver_effects


def become_newer() -> None:
    for known in (formats.RECORD_FORMATS, formats.STATE_FORMATS):
        assert isinstance(known, dict)  # changed in place: others have imported it
        for name in known:
            known[name] += 1
    vars(formats)["USUAL_FORMATS"] = formats.RECORD_FORMATS
    for module in (formats, writing):
        vars(module)["LETTER_FORMAT"] += 1
    for name in ("DELIVERY_FORMAT", "NEWER_DELIVERY_FORMAT"):
        vars(deliver_effects)[name] = formats.format_headers(Topic.DELIVERIES)


if __name__ == "__main__":
    become_newer()
    main()
