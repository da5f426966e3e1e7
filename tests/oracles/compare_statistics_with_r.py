"""Print what R says beside what we say, for every figure of the synthetic studies, and the largest difference.

Run from anywhere: `python tests/oracles/compare_statistics_with_r.py [statistic ...]`. Needs no R: it reads what
`statistics.R` wrote.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

from integration.statistics import AnalysisPlan, analyse

HERE = Path(__file__).parent
KEY = ["analysis", "scale", "visit", "group", "responder", "category", "denominator_kind", "statistic"]
NUMBERS = ["value", "ci_low", "ci_high", "p_value", "p_adjusted"]
TEXT = dict.fromkeys((*KEY, "patient_id", "baseline_version", "month_1_version", "month_6_version"), "str")


def main(statistics: list[str]) -> None:
    for cohort, figures in (("cohort", "study"), ("mixed_cohort", "mixed")):
        print(f"statistics_{cohort}.csv beside statistics_{figures}.csv")
        _compare(_ours(f"statistics_{cohort}.csv"), _r(f"statistics_{figures}.csv"), statistics)


def _compare(ours: pd.DataFrame, rs: pd.DataFrame, statistics: list[str]) -> None:
    ours = ours[ours["analysis"].isin(rs["analysis"])]
    table = ours.merge(rs, on=KEY, how="outer", suffixes=("", "_r"), indicator=True)
    if statistics:
        table = table[table["statistic"].isin(statistics)]
    for row in table.to_dict("records"):
        print(" ".join(str(row[name]) for name in KEY if row[name]), "" if row["_merge"] == "both" else row["_merge"])
        for name in NUMBERS:
            if pd.notna(row[name]) or pd.notna(row[f"{name}_r"]):
                print(f"    {name:<11} ours {row[name]:<22.12g} R {row[f'{name}_r']:<22.12g}")
    largest = {name: float((table[name] - table[f"{name}_r"]).abs().max()) for name in NUMBERS}
    print(f"{len(table)} figures; largest difference:", ", ".join(f"{k} {v:.1e}" for k, v in largest.items()))


def _ours(file: str) -> pd.DataFrame:
    cohort = pd.read_csv(HERE / file, dtype=TEXT)
    events = pd.read_csv(HERE / "statistics_adverse_events.csv", dtype="str")
    return analyse(cohort, events, AnalysisPlan())


def _r(file: str) -> pd.DataFrame:
    figures = pd.read_csv(HERE / file, dtype=TEXT)
    return figures.fillna(dict.fromkeys(KEY, ""))


if __name__ == "__main__":
    main(sys.argv[1:])
