"""Write `statistics_cohort.csv`, 240 invented patients in the columns that `integration.statistics` reads, and their
adverse events, `statistics_adverse_events.csv`.

Synthetic; nobody is behind it. Some forms have missing items, so that imputed sums are fractions. Run from anywhere:
`python tests/oracles/make_statistics_cohort.py`, then `statistics.R` beside it.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from random import Random

SEED = 20120901
PATIENTS = 240
SCALES = {"physical": (20, 10), "psychological": (9, 5)}
VISITS = ("baseline", "month_1", "month_6")
HIGHEST = 5
# Two events of one session, one of a second session of the same patient, seriousness in another case, an event of
# somebody outside the cohort.
EVENTS = [
    {"patient_id": patient, "seriousness": seriousness, "session_date": session}
    for patient, seriousness, session in (
        ("p017", "Serious", "2011-03-04"),
        ("p017", "non-serious", "2011-03-04"),
        ("p017", "non-serious", "2011-09-04"),
        ("p020", "", "2011-05-05"),
        ("p101", "non-serious", "2011-06-07"),
        ("p240", "serious", "2011-08-08"),
        ("elsewhere", "serious", "2011-01-01"),
    )
]


def main() -> None:
    random = Random(SEED)
    _write("statistics_cohort.csv", [_patient(random, number) for number in range(1, PATIENTS + 1)])
    _write("statistics_adverse_events.csv", EVENTS)


def _write(name: str, rows: Sequence[Mapping[str, object]]) -> None:
    with Path(__file__).with_name(name).open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(f"{len(rows)} rows in {name}")


def _patient(random: Random, number: int) -> dict[str, object]:
    sex = random.choices(("female", "male", ""), (63, 35, 2))[0]
    ms_type = random.choices(("RRMS", "SPMS", "PPMS", "unspecified"), (55, 22, 15, 8))[0]
    sites = random.choices((1, 2, 3, 4), (30, 40, 20, 10))[0]
    seen = {"baseline": True, "month_1": random.random() < 0.92, "month_6": random.random() < 0.9}
    retreated, stent = random.random() < 0.1, random.random() < 0.04
    last = 183 + random.randrange(-40, 60) if seen["month_6"] else 30 * seen["month_1"]
    row: dict[str, object] = {
        "patient_id": f"p{number:03d}",
        "sex": sex,
        "age_at_procedure": round(random.gauss(48, 10), 1),
        "ms_type": ms_type,
        "procedure_date": f"2011-{random.randrange(1, 13):02d}-{random.randrange(1, 29):02d}",
        "vein_sites": sites,
        "stent": _truth(stent),
        "imaging_before": _truth(random.random() < 0.7),
        "retreated": _truth(retreated),
        "retreatment_days": random.randrange(40, 300) if retreated else "",
        "retreated_after_improvement": _truth(retreated and random.random() < 0.7),
        "serious_adverse_event": _truth(number == 17),
        "sessions": 1 + retreated,
        "stent_sessions": int(stent),
        "last_contact_days": "" if retreated else last,
    }
    return row | _scores(random, seen, 0.9 * (sites - 1) + (1.0 if sex == "female" else 0.0))


def _scores(random: Random, seen: dict[str, bool], gain: float) -> dict[str, object]:
    row: dict[str, object] = {}
    sums: dict[tuple[str, str], Fraction] = {}
    level = random.gauss(3.0, 0.7)
    for visit in VISITS:
        row[f"{visit}_date"] = "2011-06-01" if seen[visit] else ""
        row[f"{visit}_version"] = "1" if seen[visit] else ""
        shift = 0.0 if visit == "baseline" else random.choice((0.0, random.gauss(-0.1 * gain, 0.3)))
        for scale, (items, least) in SCALES.items():
            answered = items if random.random() < 0.8 else random.randrange(least, items)
            if not seen[visit] or random.random() < 0.02:
                row |= {f"{scale}_{visit}": "", f"{scale}_sum_{visit}": "", f"{scale}_answered_{visit}": ""}
                continue
            raw = min(HIGHEST * answered, max(answered, round(answered * (level + shift))))
            total = Fraction(raw * items, answered)
            sums[scale, visit] = total
            row[f"{scale}_{visit}"] = float(_points(total - items, items))
            row[f"{scale}_sum_{visit}"] = round(float(total), 9)
            row[f"{scale}_answered_{visit}"] = answered
    for scale, (items, _) in SCALES.items():
        for visit in VISITS[1:]:
            row |= _change(scale, visit, items, sums)
    return row


def _change(scale: str, visit: str, items: int, sums: dict[tuple[str, str], Fraction]) -> dict[str, object]:
    names = (f"{scale}_change_{visit}", f"{scale}_sum_change_{visit}", f"{scale}_improved_{visit}")
    before, after = sums.get((scale, "baseline")), sums.get((scale, visit))
    if before is None or after is None:
        return dict.fromkeys(names, "")
    difference = after - before
    return dict(
        zip(
            names, (float(_points(difference, items)), round(float(difference), 9), _truth(difference < 0)), strict=True
        )
    )


def _points(raw: Fraction, items: int) -> Fraction:
    return 100 * raw / (items * (HIGHEST - 1))


def _truth(value: bool) -> str:
    return "true" if value else "false"


if __name__ == "__main__":
    main()
