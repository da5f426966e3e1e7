"""Write `statistics_cohort.csv`, 240 invented patients in the columns that `integration.statistics` reads, and their
adverse events, `statistics_adverse_events.csv`; and `statistics_mixed_cohort.csv`, as many of whom part answered
version 2 of the instrument, and a few another version later, which gives them no change.

Synthetic; nobody is behind it. Some forms have missing items, so that imputed sums are fractions. Run from anywhere:
`python tests/oracles/make_statistics_cohort.py`, then `statistics.R` beside it.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from random import Random

SEED, MIXED_SEED = 20120901, 20120902
PATIENTS = 240
SCALES = {"physical": (20, 10), "psychological": (9, 5)}
VISITS = ("baseline", "month_1", "month_6")
HIGHEST = {"1": 5, "2": 4}
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
    random, mixed = Random(SEED), Random(MIXED_SEED)
    numbers = range(1, PATIENTS + 1)
    _write("statistics_cohort.csv", [_patient(random, number, dict.fromkeys(VISITS, "1")) for number in numbers])
    _write("statistics_mixed_cohort.csv", [_patient(mixed, number, _versions(number)) for number in numbers])
    _write("statistics_adverse_events.csv", EVENTS)


def _write(name: str, rows: Sequence[Mapping[str, object]]) -> None:
    with Path(__file__).with_name(name).open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(f"{len(rows)} rows in {name}")


def _versions(number: int) -> dict[str, str]:
    first = "2" if number % 5 in (0, 3) else "1"
    return {"baseline": first, "month_1": first, "month_6": "2" if number % 40 == 1 else first}


def _patient(random: Random, number: int, versions: Mapping[str, str]) -> dict[str, object]:
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
    return row | _scores(random, seen, versions, 0.9 * (sites - 1) + (1.0 if sex == "female" else 0.0))


def _scores(random: Random, seen: dict[str, bool], versions: Mapping[str, str], gain: float) -> dict[str, object]:
    row: dict[str, object] = {}
    sums: dict[tuple[str, str], Fraction] = {}
    level = random.gauss(3.0, 0.7)
    for visit in VISITS:
        row[f"{visit}_date"] = "2011-06-01" if seen[visit] else ""
        row[f"{visit}_version"] = versions[visit] if seen[visit] else ""
        highest = HIGHEST[versions[visit]]
        shift = 0.0 if visit == "baseline" else random.choice((0.0, random.gauss(-0.1 * gain, 0.3)))
        for scale, (items, least) in SCALES.items():
            answered = items if random.random() < 0.8 else random.randrange(least, items)
            if not seen[visit] or random.random() < 0.02:
                row |= {f"{scale}_{visit}": "", f"{scale}_sum_{visit}": "", f"{scale}_answered_{visit}": ""}
                continue
            raw = min(highest * answered, max(answered, round(answered * (level + shift))))
            total = Fraction(raw * items, answered)
            sums[scale, visit] = total
            row[f"{scale}_{visit}"] = float(_points(total - items, items, highest))
            row[f"{scale}_sum_{visit}"] = float(total)
            row[f"{scale}_answered_{visit}"] = answered
    for scale in SCALES:
        for visit in VISITS[1:]:
            row |= _change(scale, visit, sums, versions)
    return row


def _change(
    scale: str, visit: str, sums: dict[tuple[str, str], Fraction], versions: Mapping[str, str]
) -> dict[str, object]:
    names = (f"{scale}_change_{visit}", f"{scale}_sum_change_{visit}", f"{scale}_improved_{visit}")
    before, after = sums.get((scale, "baseline")), sums.get((scale, visit))
    if before is None or after is None or versions["baseline"] != versions[visit]:
        return dict.fromkeys(names, "")
    difference = after - before
    points = _points(difference, SCALES[scale][0], HIGHEST[versions[visit]])
    return dict(zip(names, (float(points), float(difference), _truth(difference < 0)), strict=True))


def _points(raw: Fraction, items: int, highest: int) -> Fraction:
    return 100 * raw / (items * (highest - 1))


def _truth(value: bool) -> str:
    return "true" if value else "false"


if __name__ == "__main__":
    main()
