"""Reading the cohort frame's columns, whatever pandas holds them in.

The frame has one row a patient. Missing is NaN, None, NA or, in text, the empty string.

| column | what |
|---|---|
| `patient_id` | text |
| `sex` | `female`, `male`, `other`, `unknown` or empty |
| `age_at_procedure` | years |
| `ms_type` | `RRMS`, `SPMS`, `PPMS`, `unspecified` |
| `vein_sites`, `sessions`, `stent_sessions` | whole numbers |
| `stent`, `imaging_before`, `retreated`, `retreated_after_improvement`, `serious_adverse_event` | true or false |
| `retreatment_days`, `last_contact_days` | days from the index procedure |
| `<visit>_date`, `<visit>_version` | text, for the baseline and each follow-up visit |
| `<scale>_<visit>` | 0-100 |
| `<scale>_change_<visit>` | visit minus baseline, 0-100; missing unless scored at both in one version |
| `<scale>_sum_change_<visit>` | the same in the imputed raw sum |
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from integration.statistics.estimate import BoolArray, FloatArray


def floats(column: pd.Series) -> FloatArray:
    """Return a column as (patients,) float, NaN where missing."""
    return column.to_numpy(dtype=np.float64, na_value=np.nan)


def total(column: pd.Series) -> int:
    """Return the sum of a column of whole numbers; missing adds nothing."""
    return int(np.nansum(floats(column)))


def is_true(column: pd.Series) -> BoolArray:
    """Return where a column is true: (patients,) bool; missing is not true."""
    return column.astype("boolean").fillna(value=False).to_numpy(dtype=np.bool_)


def is_present(column: pd.Series) -> BoolArray:
    """Return where a column of text says something: (patients,) bool."""
    return (column.notna() & column.ne("")).to_numpy(dtype=np.bool_, na_value=False)


def is_seen(cohort: pd.DataFrame, visit: str) -> BoolArray:
    """Return who had a scorable response at a visit: (patients,) bool."""
    return is_present(cohort[f"{visit}_date"])


def in_group(column: pd.Series, label: str) -> BoolArray:
    """Return where a column of text equals a label: (patients,) bool; missing equals nothing."""
    return column.eq(label).to_numpy(dtype=np.bool_, na_value=False)
