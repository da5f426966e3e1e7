"""The one value that every computation of this package returns."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """A number with its interval and its P value; NaN where the data do not determine it.

    Attributes:
        value: the estimate or the test statistic, in the unit that the function names.
        ci_low: lower end of the interval.
        ci_high: upper end.
        p_value: two-sided unless the function says otherwise.
        n: observations that entered.
    """

    value: float = math.nan
    ci_low: float = math.nan
    ci_high: float = math.nan
    p_value: float = math.nan
    n: int = 0
