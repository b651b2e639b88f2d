from __future__ import annotations

import re
from collections.abc import Iterator
from typing import cast

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.domain.configuration.alert_options import (
    AlertOptions,
    Priority,
    Responder,
    ResponderType,
)
from stream_app.opsgenie.payload import alert_body
from stream_app.opsgenie.sandbox.limits import find_errors
from tests.unit.opsgenie.payloads import payload_of

TITLE = "[Wallarm] Trigger: The number of incidents exceeded the threshold"
BODY = (
    "Notification type: incidents_exceeded\n\n"
    "The number of detected incidents exceeded 1 in 1 second.\n\n"
    "Additional trigger\u2019s clauses:\nTarget: server, database.\n\n"
    "Client: TestCompany\nCloud: EU"
)
EMAIL = re.compile(r"<[A-Za-z0-9._%+'-]+@[A-Za-z0-9.-]+>")
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def details_of(details: dict[str, object]) -> dict[str, str]:
    return cast("dict[str, str]", payload_of("m", "d", "a", details).get("details", {}))


def units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def test_the_documented_texts_pass_unchanged() -> None:
    assert payload_of(TITLE, BODY, "wallarm:1:incidents_exceeded:0a1b", {}) == {
        "message": TITLE,
        "description": BODY,
        "alias": "wallarm:1:incidents_exceeded:0a1b",
        "source": "stream-app",
    }


def test_all_optional_fields_are_sent_when_set() -> None:
    payload = payload_of(
        "m",
        "d",
        "a",
        {"client_name": "Acme"},
        priority=Priority.P1,
        tags=("hits",),
        entity="shop",
        source="acme",
        responders=(Responder(ResponderType.TEAM, id="t1"),),
    )
    assert payload == {
        "message": "m",
        "description": "d",
        "alias": "a",
        "details": {"client_name": "Acme"},
        "priority": "P1",
        "tags": ["hits"],
        "entity": "shop",
        "source": "acme",
        "responders": [{"id": "t1", "type": "team"}],
    }


@pytest.mark.parametrize("letter", ["x", "é", "😀"])
def test_a_message_of_the_limit_is_kept_and_a_longer_one_cut(letter: str) -> None:
    limit = 130 // units(letter)
    assert payload_of(letter * limit, "d", "a", {})["message"] == letter * limit
    payload = payload_of(letter * (limit + 1), "d", "a", {})
    assert units(str(payload["message"])) <= 130
    assert str(payload["message"]).endswith("…")
    assert payload["description"] == letter * (limit + 1) + "\n\nd"


def test_a_long_message_is_cut_at_a_word_and_whole_in_the_description() -> None:
    message = "The number of detected hits exceeded the threshold " * 4
    payload = payload_of(message, "", "a", {})
    assert payload["description"] == message.strip()
    shown = str(payload["message"]).removesuffix("…")
    assert message.startswith(shown + " ")


def test_a_message_of_markup_only_is_not_sent_empty() -> None:
    assert payload_of("<b></b>", "d", "a", {})["message"] == "(no message)"


def test_a_long_description_is_cut() -> None:
    description = str(payload_of("m", "word " * 5000, "a", {})["description"])
    assert len(description) <= 15_000
    assert description.endswith("word…")


def test_an_empty_description_is_left_out() -> None:
    assert "description" not in payload_of("m", "\n", "a", {})


def test_an_alias_of_the_limit_is_sent_as_it_is() -> None:
    assert payload_of("m", "d", "a" * 512, {})["alias"] == "a" * 512


def test_long_aliases_that_begin_alike_stay_apart() -> None:
    one, two = (str(payload_of("m", "d", "a" * 600 + end, {})["alias"]) for end in "xy")
    assert one != two
    assert len(one) <= 512
    assert one == payload_of("m", "d", "a" * 600 + "x", {})["alias"]


def test_aliases_that_differ_only_in_markup_stay_apart() -> None:
    assert payload_of("m", "d", "a<b>", {})["alias"] != payload_of("m", "d", "a", {})["alias"]


def test_an_empty_alias_is_refused() -> None:
    with pytest.raises(ValueError, match="alias is empty"):
        payload_of("m", "d", "", {})


def test_details_are_flat_texts_without_nulls() -> None:
    details = {
        "client_name": "Acme",
        "trigger_id": 61,
        "ratio": 0.5,
        "active": True,
        "link": None,
        "empty": "",
        "vuln": {"domain": "example.com", "id": None, "more": {"threat": "<b>Medium</b>"}},
        "ips": ["8.8.8.8", None, "1.1.1.1"],
        "data": [{"action": "create"}, {"action": "delete"}],
    }
    assert details_of(details) == {
        "client_name": "Acme",
        "trigger_id": "61",
        "ratio": "0.5",
        "active": "true",
        "vuln_domain": "example.com",
        "vuln_more_threat": "Medium",
        "ips": "8.8.8.8, 1.1.1.1",
        "data_0_action": "create",
        "data_1_action": "delete",
    }


def test_the_first_of_two_details_with_the_same_flat_name_stays() -> None:
    assert details_of({"a": {"b": 1}, "a_b": 2}) == {"a_b": "1"}


def test_details_that_just_fit_are_all_kept() -> None:
    assert details_of({"a": "x" * 3999, "b": "x" * 3999}) == {"a": "x" * 3999, "b": "x" * 3999}


def test_details_beyond_the_limit_are_dropped_from_the_end() -> None:
    details = details_of({f"key{n:02}": "x" * 995 for n in range(10)})
    assert list(details) == [*(f"key{n:02}" for n in range(7)), "truncated"]
    assert details["truncated"] == "true"
    assert sum(len(name) + len(value) for name, value in details.items()) <= 8000


def test_one_value_that_is_too_long_costs_only_itself() -> None:
    details = details_of({"link": "https://x.example", "payload": "x" * 9000, "cloud": "EU"})
    assert details == {"link": "https://x.example", "cloud": "EU", "truncated": "true"}


def test_details_nested_without_end_are_cut_off() -> None:
    deep: dict[str, object] = {"leaf": 1}
    for _ in range(5000):
        deep = {"n": deep}
    assert details_of(deep) == {"n" + "_n" * 8: "…"}


def test_tags_have_no_commas_no_doubles_and_fit() -> None:
    tags = ["a,b", "a b", "", ",", "<i>", "x" * 60, *(f"tag{n}" for n in range(30))]
    fitted = cast("list[str]", payload_of("m", "d", "a", {}, tags=tags)["tags"])
    assert fitted[:3] == ["a b", "<i>", "x" * 49 + "…"]
    assert len(fitted) == 20


def test_equal_payloads_give_equal_bytes() -> None:
    one, two = (
        alert_body("m", "", "a", details, AlertOptions())
        for details in ({"b": "1", "a": "2"}, {"a": "2", "b": "1"})
    )
    assert one == two
    assert one == b'{"alias":"a","details":{"a":"2","b":"1"},"message":"m","source":"stream-app"}'


def test_a_responder_that_does_not_say_who_it_is_is_left_out() -> None:
    responders = [
        Responder(ResponderType.TEAM, name="<b>On-call</b>\x00"),
        Responder(ResponderType.TEAM, name="On-call"),
        Responder(ResponderType.TEAM),
        Responder(ResponderType.SCHEDULE, name="\x00"),
        Responder(ResponderType.USER, username="<i>"),
    ]
    payload = payload_of("m", "d", "a", {}, responders=responders)
    assert payload["responders"] == [
        {"type": "team", "name": "On-call"},
        {"type": "user", "username": "<i>"},
    ]


def test_configured_texts_are_sent_as_they_are_written() -> None:
    names = ["SOC <EU>", "SOC", "R&D  Ops", "R&D Ops", "<b>", " x "]
    responders = [Responder(ResponderType.TEAM, name=name) for name in names]
    payload = payload_of(
        "m", "d", "a", {}, tags=names, entity=names[0], source=names[2], responders=responders
    )
    assert (payload["tags"], payload["entity"], payload["source"]) == (names, names[0], names[2])
    assert payload["responders"] == [{"type": "team", "name": name} for name in names]


def test_no_two_names_of_details_become_one() -> None:
    details = {"<a>": "1", "\x00": "2", "x": "3", "x<b>": "4", "x\x01": "5", "detail": "6"}
    found = cast("dict[str, str]", payload_of("m", "d", "a", details)["details"])
    assert sorted(found.values()) == list("123456")
    assert {"detail", "detail_2", "detail_3", "x", "x_2", "x_3"} == found.keys()


def test_the_options_of_an_integration_are_those_of_the_payload() -> None:
    options = AlertOptions(
        priority=Priority.P2,
        tags=("waf",),
        responders=(Responder(ResponderType.USER, username="ann@acme.example"),),
        entity="shop",
        source="acme",
    )
    assert orjson.loads(alert_body("m", "", "a", {}, options)) == {
        "message": "m",
        "alias": "a",
        "priority": "P2",
        "tags": ["waf"],
        "responders": [{"type": "user", "username": "ann@acme.example"}],
        "entity": "shop",
        "source": "acme",
    }


def test_without_options_only_the_source_is_sent() -> None:
    payload = orjson.loads(alert_body("m", "", "a", {}, AlertOptions()))
    assert payload == {"message": "m", "alias": "a", "source": "stream-app"}


def texts_of(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from [name, *texts_of(item)]
    elif isinstance(value, list):
        for item in value:
            yield from texts_of(item)


#: What an attacker may write: markup, controls, and characters of two UTF-16 units.
HOSTILE = st.text(st.sampled_from("<>/!?ab@., \n\t\x00\x1b\x85\u202e\u2066\ud800é😀")) | st.text()
RESPONDERS = st.builds(
    Responder, st.sampled_from(ResponderType), id=HOSTILE, name=HOSTILE, username=HOSTILE
)


@given(
    st.tuples(HOSTILE, HOSTILE, HOSTILE.filter(bool)),
    st.dictionaries(HOSTILE, HOSTILE | JSON_VALUES),
    st.tuples(HOSTILE, HOSTILE),
    st.lists(HOSTILE, max_size=30),
    st.lists(RESPONDERS, max_size=60),
    st.sampled_from([None, *Priority]),
    st.sampled_from([1, 40, 400]),
)
def test_any_input_makes_a_body_that_the_service_accepts(
    texts: tuple[str, str, str],
    details: dict[str, object],
    facts: tuple[str, str],
    tags: list[str],
    responders: list[Responder],
    priority: Priority | None,
    times: int,
) -> None:
    message, description, alias = (text * times for text in texts)
    body = payload_of(
        message,
        description,
        alias,
        {
            name: value * times if isinstance(value, str) else value
            for name, value in details.items()
        },
        entity=facts[0] * times,
        source=facts[1] * times,
        tags=[tag * times for tag in tags],
        responders=responders,
        priority=priority,
    )
    assert find_errors(body) == {}
    assert None not in body.values()
    assert len(body["message"]) <= units(body["message"]) <= 130
    configured = ("tags", "entity", "source", "responders")
    for text in texts_of({name: value for name, value in body.items() if name not in configured}):
        assert not re.search(r"<[A-Za-z/!?]", EMAIL.sub("", text))
    for text in texts_of(body):
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)


@given(
    st.text(),
    st.text(),
    st.text(min_size=1),
    st.dictionaries(st.text(), JSON_VALUES),
    st.lists(st.text()),
)
def test_any_text_makes_a_body_within_the_limits(
    message: str, description: str, alias: str, details: dict[str, object], tags: list[str]
) -> None:
    body = payload_of(message, description, alias, details, tags=tags)
    assert 0 < units(body["message"]) <= 130
    assert 0 < units(body["alias"]) <= 512
    assert units(body.get("description", "")) <= 15_000
    assert all(isinstance(value, str) for value in body.get("details", {}).values())
    assert len(body.get("tags", [])) <= 20
    assert all(0 < units(tag) <= 50 and "," not in tag for tag in body.get("tags", []))
