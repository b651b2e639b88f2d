"""The newest part of topics is bounded, and shared fairly between partitions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.kafka.history.newest_records import fair_cap


@pytest.mark.parametrize(
    ("sizes", "most", "cap"),
    [
        ([], 10, 0),
        ([3, 4], 10, 4),
        ([5, 5], 10, 5),
        ([100, 2], 10, 8),
        ([100, 100, 1], 11, 5),
        ([7], 0, 0),
    ],
)
def test_small_partitions_leave_their_share_to_large_ones(
    sizes: list[int], most: int, cap: int
) -> None:
    assert fair_cap(sizes, most) == cap


@given(sizes=st.lists(st.integers(0, 1000), max_size=20), most=st.integers(0, 5000))
def test_no_more_is_read_than_allowed_and_no_share_is_wasted(sizes: list[int], most: int) -> None:
    cap = fair_cap(sizes, most)
    read = sum(min(size, cap) for size in sizes)
    assert read <= most
    # One more of each would be too much, or all is read.
    assert read == sum(sizes) or sum(min(size, cap + 1) for size in sizes) > most
