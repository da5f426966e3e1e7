"""What R said, and the synthetic study it said it of."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

ORACLES = Path(__file__).parents[2] / "oracles"
VERSIONS = {f"{visit}_version": "str" for visit in ("baseline", "month_1", "month_6")}


@pytest.fixture(scope="session")
def oracles() -> Path:
    """The folder of `statistics.R` and of what it wrote."""
    return ORACLES


@pytest.fixture(scope="session")
def r_examples() -> dict[str, dict[str, float]]:
    """R's numbers of published examples: case, then quantity."""
    table = pd.read_csv(ORACLES / "statistics_examples.csv")
    return {case: dict(zip(rows["quantity"], rows["value"], strict=True)) for case, rows in table.groupby("case")}


@pytest.fixture
def cohort() -> pd.DataFrame:
    """The 240 patients of the synthetic study."""
    return pd.read_csv(ORACLES / "statistics_cohort.csv", dtype=VERSIONS)


@pytest.fixture
def adverse_events() -> pd.DataFrame:
    """Their adverse events."""
    return pd.read_csv(ORACLES / "statistics_adverse_events.csv", dtype="str")
