"""Shares of patients with exact intervals."""

from __future__ import annotations

from scipy import stats
from statsmodels.stats.proportion import proportion_confint  # type: ignore[import-untyped]  # ships no types

from integration.statistics.estimate import Estimate


def clopper_pearson(events: int, total: int, confidence: float = 0.95) -> Estimate:
    """Return a share with the exact interval of Clopper and Pearson (doi:10.1093/biomet/26.4.404).

    The interval inverts the binomial test, so its coverage is never below `confidence`; zero events still have an upper
    end. A total of zero gives no estimate.

    >>> share = clopper_pearson(81, 263)
    >>> f"{share.value:.4f} {share.ci_low:.4f} {share.ci_high:.4f}"
    '0.3080 0.2527 0.3676'

    The same in R: `binom.test(81, 263)$conf.int`.

    Args:
        events: how many of the total.
        total: the denominator.
        confidence: of the interval, 0-1.
    """
    return _share(events, total, confidence, "beta")


def wilson(events: int, total: int, confidence: float = 0.95) -> Estimate:
    """Return a share with Wilson's score interval (doi:10.1080/01621459.1927.10502953), no continuity correction.

    >>> share = wilson(0, 20)
    >>> f"{share.ci_low:.4f} {share.ci_high:.4f}"
    '0.0000 0.1611'

    The same in R: `prop.test(0, 20, correct = FALSE)$conf.int`.

    Args:
        events: how many of the total.
        total: the denominator.
        confidence: of the interval, 0-1.
    """
    return _share(events, total, confidence, "wilson")


def zero_event_bound(total: int, confidence: float = 0.95) -> Estimate:
    """Return the largest share that is compatible with no event among `total`, one-sided.

    It is `1 - (1 - confidence)^(1/total)`, the exact form of the "rule of three" (Hanley and Lippman-Hand,
    doi:10.1001/jama.1983.03330370053031).

    >>> f"{zero_event_bound(259).value:.4f}"
    '0.0115'

    The same in R: `binom.test(0, 259, alternative = "less")$conf.int[2]`.
    """
    return Estimate(value=1 - (1 - confidence) ** (1 / total), n=total) if total else Estimate()


def sign_split(first: int, second: int, confidence: float = 0.95) -> Estimate:
    """Return the share `first / (first + second)` with its exact interval and the exact test of one half.

    The sign test on falls and rises, and McNemar's test on the two kinds of discordant patients
    (doi:10.1007/BF02295996), are both this one.

    >>> split = sign_split(5, 15)
    >>> f"{split.value} {split.p_value:.6f}"
    '0.25 0.041389'

    The same in R: `binom.test(5, 20)$p.value`.
    """
    total = first + second
    if not total:
        return Estimate()
    share = clopper_pearson(first, total, confidence)
    p_value = float(stats.binomtest(first, total).pvalue)
    return Estimate(value=share.value, ci_low=share.ci_low, ci_high=share.ci_high, p_value=p_value, n=total)


def _share(events: int, total: int, confidence: float, method: str) -> Estimate:
    if not total:
        return Estimate()
    low, high = proportion_confint(events, total, alpha=1 - confidence, method=method)
    # Rounding leaves Wilson's lower end of a zero count and its upper end of a full count a hair off.
    low, high = float(low) if events else 0.0, float(high) if events < total else 1.0
    return Estimate(value=events / total, ci_low=low, ci_high=high, n=total)
