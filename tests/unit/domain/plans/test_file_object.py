from __future__ import annotations

from typing import Any

import pytest

from stream_app.domain.configuration.fields import HIDDEN
from stream_app.domain.configuration.kinds import Kind
from stream_app.domain.plans.file_object import FileObject

KEY = "00000000-1111-2222-3333-444444444444"
API = "https://api.opsgenie.com/v2/alerts"


def read(obj: dict[str, Any]) -> FileObject:
    return FileObject("acme.yaml", 1, obj)


@pytest.mark.parametrize(
    "obj",
    [
        {"id": 521, "target": {"token": KEY, "api": API}},
        {"id": 521, "target": {"token": f" {KEY}\n"}},
        {"id": 521, "target": KEY},
        {"trigger": {"id": 61, "target": {"token": KEY}}},
        {"trigger": {"id": 61}, "target": {"token": KEY}},
    ],
)
def test_a_key_in_the_clear_leaves_the_object(obj: dict[str, Any]) -> None:
    found = read(obj)
    assert found.key is not None
    assert found.key.get_secret_value() == KEY
    assert KEY not in f"{found!r} {found.obj} {found.record(Kind.INTEGRATION)}"
    assert HIDDEN in str(found.obj)


def test_the_fields_of_a_target_keep_their_order() -> None:
    assert read({"target": {"token": KEY, "api": API}}).obj == {
        "target": {"token": HIDDEN, "api": API}
    }


@pytest.mark.parametrize(
    "token",
    [None, "", " ", 7, "(sealed)", "sealed:v1:abc", "env:STREAM_APP_KEY_1111_A", "file:1111/a"],
)
def test_what_is_no_key_in_the_clear_stays(token: object) -> None:
    obj = {"id": 521, "target": {"token": token, "api": API}}
    found = read(obj)
    assert (found.key, found.obj) == (None, obj)


def test_an_object_without_a_target_has_no_key() -> None:
    assert read({"client_id": 1111, "name": "Acme"}).key is None
