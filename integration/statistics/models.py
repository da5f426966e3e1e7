"""Linear models of the change, by ordinary least squares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from statsmodels.regression.linear_model import OLS  # type: ignore[import-untyped]  # ships no types

from integration.statistics.estimate import Estimate, FloatArray, IntArray


@dataclass(frozen=True, kw_only=True, slots=True)
class Ancova:
    """A fitted model `change ~ baseline * group`, the baseline centred at the mean of everybody in it.

    Each group has an intercept (its expected change at the mean baseline) and a slope on baseline of its own.

    Attributes:
        groups: number of groups G.
        confidence: of the intervals, 0-1.
        n: patients in the model.
        fit: the fitted least squares, parameters in the order G intercepts, G slopes; None where the groups do not
            determine it (a group too small or without variance of baseline, or no variance of change).
    """

    groups: int
    confidence: float
    n: int
    fit: Any

    def difference(self, first: int, second: int) -> Estimate:
        """Return the expected change of one group less that of another, both at the mean baseline, in points."""
        return self._contrast(first, second, 0)

    def interaction(self, first: int, second: int) -> Estimate:
        """Return the slope on baseline of one group less that of another, in points of change a point of baseline."""
        return self._contrast(first, second, self.groups)

    def any_interaction(self) -> Estimate:
        """Test whether any two groups differ in slope: F with G - 1 and n - 2G degrees of freedom."""
        if self.fit is None:
            return Estimate(n=self.n)
        contrasts = np.zeros((self.groups - 1, 2 * self.groups))
        contrasts[:, self.groups] = -1
        contrasts[np.arange(self.groups - 1), self.groups + 1 + np.arange(self.groups - 1)] = 1
        test = self.fit.f_test(contrasts)
        return Estimate(value=float(test.fvalue), p_value=float(test.pvalue), n=self.n)

    def _contrast(self, first: int, second: int, offset: int) -> Estimate:
        if self.fit is None:
            return Estimate(n=self.n)
        contrast = np.zeros(2 * self.groups)
        contrast[offset + first], contrast[offset + second] = 1, -1
        return _estimate(self.fit.t_test(contrast), self.confidence, self.n)


def ancova(change: FloatArray, baseline: FloatArray, group: IntArray, groups: int, confidence: float = 0.95) -> Ancova:
    """Fit `change ~ baseline * group`, analysis of covariance (Vickers and Altman, doi:10.1136/bmj.323.7321.1123).

    The same in R: `b <- baseline - mean(baseline); lm(change ~ b * group)`, whose group terms are the differences to
    the first group at the mean baseline.

    Args:
        change: (n,) float, visit minus baseline.
        baseline: (n,) float.
        group: (n,) int, 0 to `groups - 1`.
        groups: number of groups.
        confidence: of the intervals, 0-1.
    """
    if not len(change):
        return Ancova(groups=groups, confidence=confidence, n=0, fit=None)
    membership = (group[:, None] == np.arange(groups)).astype(float)
    centred = (baseline - baseline.mean())[:, None]
    fit = _fit(change, np.hstack([membership, membership * centred]))
    return Ancova(groups=groups, confidence=confidence, n=len(change), fit=fit)


def slope(
    change: FloatArray, number: FloatArray, baseline: FloatArray | None = None, confidence: float = 0.95
) -> Estimate:
    """Return the change of `change` per unit of `number`, by least squares; given a baseline, adjusted for it.

    >>> line = slope(np.array([1.0, 3.0, 2.0, 5.0]), np.array([1.0, 2.0, 3.0, 4.0]))
    >>> f"{line.value:.2f} {line.ci_low:.4f} {line.ci_high:.4f} {line.p_value:.4f}"
    '1.10 -1.1357 3.3357 0.1685'

    The same in R: `confint(lm(change ~ number))`, or `lm(change ~ number + baseline)`.

    Args:
        change: (n,) float.
        number: (n,) float.
        baseline: (n,) float, or None.
        confidence: of the interval, 0-1.
    """
    n = len(change)
    columns = [np.ones(n), number] if baseline is None else [np.ones(n), number, baseline]
    fit = _fit(change, np.column_stack(columns))
    if fit is None:
        return Estimate(n=n)
    contrast = np.zeros(len(columns))
    contrast[1] = 1
    return _estimate(fit.t_test(contrast), confidence, n)


def _fit(response: FloatArray, design: FloatArray) -> Any:
    """Return the fit, or None where the design is not of full rank or leaves nothing to estimate the error from."""
    rows, columns = design.shape
    if rows <= columns or np.linalg.matrix_rank(design) < columns:
        return None
    fit = OLS(response, design).fit()
    total = float(np.sum((response - response.mean()) ** 2))
    return fit if fit.ssr > 1e-12 * max(total, 1e-12) else None


def _estimate(test: Any, confidence: float, n: int) -> Estimate:
    low, high = np.ravel(test.conf_int(alpha=1 - confidence))
    return Estimate(
        value=float(np.ravel(test.effect)[0]),
        ci_low=float(low),
        ci_high=float(high),
        p_value=float(np.ravel(test.pvalue)[0]),
        n=n,
    )
