from __future__ import annotations

from typing import Any

from stream_app.domain.configuration.kinds import Kind
from stream_app.domain.notices.announced_objects import AnnouncedObjects
from stream_app.domain.notices.config_changes import NoticeType
from stream_app.domain.state.keys import PROGRESS_KEY

TOPICS = {Kind.CLIENT: "c", Kind.INTEGRATION: "i", Kind.TRIGGER: "t"}


def trigger(name: str = "Incidents") -> dict[str, Any]:
    return {"client_id": 1111, "id": 61, "name": name}


def begun(*ends: int) -> AnnouncedObjects:
    state = AnnouncedObjects(TOPICS)
    state.restore(*state.baseline_record(ends or (0, 0, 0)))
    return state


def take(state: AnnouncedObjects, offset: int, obj: dict[str, Any] | None) -> list[NoticeType]:
    return [difference.type for difference in state.take("t", offset, 61, obj)]


def test_objects_before_the_baseline_are_known_and_not_announced() -> None:
    state = begun(0, 0, 5)
    assert take(state, 2, trigger()) == []
    assert take(state, 4, trigger("Other")) == []
    assert take(state, 5, trigger("Third")) == [NoticeType.TRIGGER_UPDATE]
    assert take(state, 9, None) == [NoticeType.TRIGGER_DELETE]


def test_a_record_that_is_read_again_announces_nothing() -> None:
    state = begun()
    assert take(state, 0, trigger()) == [NoticeType.TRIGGER_CREATE]
    assert not state.is_new("t", 0)
    assert take(state, 0, trigger("Older")) == []


def test_a_restored_state_announces_nothing_twice() -> None:
    state = begun()
    take(state, 0, trigger())
    cut = state.cut()
    restored = begun()
    for record in state.records(cut):  # the progress was not written before the crash
        restored.restore(*record)
    assert restored.progress_of("t") == -1
    assert take(restored, 0, trigger()) == []
    assert take(restored, 1, None) == [NoticeType.TRIGGER_DELETE]


def test_an_older_record_does_not_bring_a_deleted_object_back() -> None:
    state = begun()
    take(state, 0, trigger())
    take(state, 1, None)
    restored = begun()
    for record in state.records(state.cut()):
        restored.restore(*record)
    assert take(restored, 0, trigger()) == []


def test_rolling_back_forgets_what_is_not_acknowledged() -> None:
    state = begun()
    take(state, 0, trigger())
    first = state.cut()
    state.confirm(first)
    take(state, 1, trigger("In flight"))
    state.cut()
    take(state, 2, trigger("Not cut"))
    state.roll_back()
    assert state.progress_of("t") == 0
    assert take(state, 1, trigger("In flight")) == [NoticeType.TRIGGER_UPDATE]
    assert take(state, 2, None) == [NoticeType.TRIGGER_DELETE]


def test_a_rewrite_writes_all_objects_again() -> None:
    state = begun()
    take(state, 0, trigger())
    first = state.cut()
    state.confirm(first)
    assert state.records(state.cut()) == []
    state.rewrite()
    again = state.cut()
    assert state.records(again) == state.records(first)
    state.confirm(again)
    assert state.records(state.cut()) == []


def test_of_two_records_of_one_object_the_later_offset_wins() -> None:
    state = begun()
    state.restore(b"trigger/61", b'[7,{"client_id":1111,"id":61,"name":"New"}]')
    state.restore(b"trigger/61", b'[3,{"client_id":1111,"id":61,"name":"Old"}]')
    assert take(state, 8, trigger("New")) == []


def test_the_progress_of_all_topics_is_one_record_and_never_goes_back() -> None:
    state = begun()
    take(state, 4, trigger())
    state.skip("i", 9)
    key, value = state.progress_record(state.cut())
    assert key == PROGRESS_KEY
    restored = begun()
    restored.restore(key, value)
    restored.restore(key, b"[-1,-1,-1]")
    assert [restored.progress_of(topic) for topic in "cit"] == [-1, 9, 4]


def test_the_earlier_of_two_baselines_wins() -> None:
    state = begun(1, 5, 3)
    state.restore(*state.baseline_record((4, 4, 4)))
    assert state.baseline == {"c": 1, "i": 4, "t": 3}


def test_a_client_is_known_by_its_last_record() -> None:
    state = begun()
    state.take("c", 0, 1111, {"client_id": 1111, "name": "Acme", "cloud": "EU"})
    found = state.client(1111)
    assert found is not None
    assert found["name"] == "Acme"
    assert state.client(2222) is None
