"""Token buckets."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from server.service.access.limits import Buckets


def test_a_bucket_holds_a_minute_and_fills_evenly(time: Any) -> None:
    buckets = Buckets(time.seconds)

    assert [buckets.take("a", 4) for _ in range(5)] == [0, 0, 0, 0, 15]
    time.passes(seconds=10)
    assert buckets.take("a", 4) == pytest.approx(5)
    time.passes(seconds=5)
    assert [buckets.take("a", 4), buckets.take("a", 4)] == [0, 15]
    time.passes(hours=1)
    assert [buckets.take("a", 4) for _ in range(5)] == [0, 0, 0, 0, 15]


def test_names_have_buckets_of_their_own(time: Any) -> None:
    buckets = Buckets(time.seconds)

    assert [buckets.take("a", 1), buckets.take("a", 1), buckets.take("b", 1)] == [0, 60, 0]


def test_many_names_do_not_fill_the_memory_and_the_busy_ones_stay(time: Any) -> None:
    buckets = Buckets(time.seconds, most=10)
    buckets.take("busy", 1)

    for number in range(1000):
        buckets.take(f"once-{number}", 1)
        assert buckets.take("busy", 1) == 60

    assert buckets.take("once-0", 1) == 0  # forgotten


def test_threads_take_no_more_than_there_is(time: Any) -> None:
    buckets = Buckets(time.seconds)

    with ThreadPoolExecutor(8) as pool:
        waits = list(pool.map(lambda _: buckets.take("a", 100), range(400)))

    assert waits.count(0) == 100


def test_a_wait_is_told_in_whole_seconds() -> None:
    assert [Buckets.retry_after(seconds) for seconds in (0.001, 1.0, 1.5)] == ["1", "1", "2"]
