"""Order statistics of sums against the sums themselves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from integration.statistics.order_statistics import counted, pair_sum, walsh_sum

numbers = st.lists(
    st.one_of(st.integers(-40, 40).map(float), st.floats(-1e3, 1e3, allow_subnormal=False)), min_size=1, max_size=25
)


@given(numbers, st.data())
def test_walsh_sums_have_the_rank_that_sorting_gives_them(sample: list[float], data: st.DataObject) -> None:
    values = np.array(sample)
    sums = np.sort(np.add.outer(values, values)[np.triu_indices(len(values))])
    rank = data.draw(st.integers(1, len(sums)))

    assert walsh_sum(counted(values), rank) == pytest.approx(sums[rank - 1], abs=1e-9)


@given(numbers, numbers, st.data())
def test_pair_sums_have_the_rank_that_sorting_gives_them(
    first: list[float], second: list[float], data: st.DataObject
) -> None:
    sums = np.sort(np.add.outer(first, second), axis=None)
    rank = data.draw(st.integers(1, len(sums)))

    found = pair_sum(counted(np.array(first)), counted(np.array(second)), rank)

    assert found == pytest.approx(sums[rank - 1], abs=1e-9)


def test_equal_numbers_are_counted_once() -> None:
    sample = counted(np.array([2.0, 1.0, 2.0, 2.0]))

    assert sample.values.tolist() == [1.0, 2.0]
    assert sample.counts.tolist() == [1, 3]
    assert sample.size == 4
    assert sample.at_most(np.array([0.0, 1.0, 1.5, 2.0])).tolist() == [0, 1, 1, 4]
