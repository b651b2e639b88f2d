"""What may be a key is taken out of a text, and what people write is left."""

from __future__ import annotations

import pytest

from stream_app.domain.foreign_text.hidden_keys import hide_keys


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("00000000-1111-2222-3333-444444444444", "***"),
        ("ATATT3xFfGF0fakeKEY_not-REAL=1234", "***"),
        ("key 00000000111122223333, or not", "key ***, or not"),
        ("https://bo:pass@api.opsgenie.com/v2", "https://***@api.opsgenie.com/v2"),
        ("our-production-heartbeat", "our-production-heartbeat"),
        ("short1", "short1"),
        ("", ""),
    ],
)
def test_only_what_may_be_a_key_is_hidden(text: str, shown: str) -> None:
    assert hide_keys(text) == shown
