"""The page as a whole: what it says, what it must not say, and that it stands alone."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from integration import evidence, report
from integration.report.inputs import ReportInputs

Make = Callable[..., ReportInputs]
HOSTILE = "<script>alert(1)</script>\"'&<img src=x onerror=y>"
STYLE = Path(report.__file__).parent / "templates" / "style.css"


def _nobody(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.iloc[:0]


def _no_follow_up(frame: pd.DataFrame) -> pd.DataFrame:
    later = [name for name in frame if str(name).endswith(("_month_1", "_month_6"))]
    dates = dict.fromkeys(("month_1_date", "month_6_date", "month_1_version", "month_6_version"))
    return frame.assign(**dict.fromkeys(later, float("nan")), **dates, last_contact_days=0, retreated=False)


def _women_with_ppms(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(sex="female", ms_type="PPMS", vein_sites=2)


def _words(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", page))


def _percent(rate: float) -> str:
    return f"{int(1000 * rate + 0.5) / 10:.1f}\N{NO-BREAK SPACE}%"


@pytest.mark.parametrize(
    "said",
    [
        "Single arm, before and after",
        "this design cannot attribute the change to the procedure",
        "regression to the mean is expected",
        "lower is better",
        "Definition chosen by the site; the 2012 paper's own definition is not known to this software",
        "not the regulatory definition",
        "Brave Dreams",
        "Canadian trial",
        "PREMiSe",
        "Cochrane",
        "FDA safety communication, 10 May 2012",
        "never added up",
        "7.5 points: no source read by this project; shown for the effect of the threshold",
        "On complete forms of version 2 the three rules of 7, 7.5 and 8 points are one",
        "the scoring manual was not read",
        "an interval of the shift may end exactly at 0, the end not included",
        "question of the abstract, not adjusted",
    ],
)
def test_the_page_says_what_every_report_of_this_design_must_say(page: str, said: str) -> None:
    assert said in _words(page).replace("&#39;", "'")


def test_the_page_never_says_effective(page: str) -> None:
    assert "effective" not in page.lower()


def test_the_serious_event_has_one_interval_wherever_it_stands(page: str) -> None:
    said = re.findall(r"\b0\.0\d* to 2\.1\d*", _words(page))

    assert len(said) >= 3  # summary, beside the abstract, table of events
    assert set(said) == {"0.01 to 2.13"}


def test_the_evidence_stands_before_the_results(page: str) -> None:
    places = [page.index(f'<section id="{name}"') for name in ("summary", "evidence", "flow", "change", "choices")]

    assert places == sorted(places)


def test_the_rates_are_those_of_the_statistics_among_all_three_denominators(
    inputs: ReportInputs, page: str, outline: Callable[[str], Any]
) -> None:
    shown = outline(page).tables["table-rates"][1:]
    rows = inputs.statistics.query(
        "analysis == 'improvement_rate' and statistic == 'rate' and responder == 'any_decrease' "
        "and category == 'improved'"
    )

    expected = [
        {kind: f"{row.numerator}/{row.denominator} ({_percent(row.value)})" for kind, row in _by_kind(group)}
        for _, group in rows.groupby(["scale", "visit"], sort=False)
    ]
    found = [{"with_change": row[1], "seen": row[3], "cohort": row[4]} for row in shown]
    assert found == expected


def _by_kind(group: pd.DataFrame) -> list[tuple[str, Any]]:
    return [(row.denominator_kind, row) for row in group.itertuples()]


def test_every_threshold_stands_with_improved_unchanged_and_worsened(
    inputs: ReportInputs, page: str, outline: Callable[[str], Any]
) -> None:
    shown = [row for row in outline(page).tables["table-responders"][1:] if len(row) > 1]
    rows = inputs.statistics.query(
        "analysis == 'improvement_rate' and statistic == 'rate' and denominator_kind == 'with_change'"
    )

    panels = rows.groupby(["scale", "visit", "responder"], sort=False)
    expected = [
        [f"{row.numerator}/{row.denominator} ({_percent(row.value)})" for row in g.itertuples()] for _, g in panels
    ]
    assert [[row[1], row[3], row[5]] for row in shown] == expected


def test_the_medians_and_p_values_are_those_of_the_statistics(
    inputs: ReportInputs, page: str, outline: Callable[[str], Any]
) -> None:
    change = outline(page).tables["table-change"][1:]
    tests = [row for row in outline(page).tables["table-tests"][1:] if len(row) > 1]
    medians = inputs.statistics.query("analysis == 'change' and statistic == 'median_change'")
    wilcoxon = inputs.statistics.query("analysis == 'change' and statistic == 'wilcoxon_w'")

    assert [row[1] for row in change] == [str(number) for number in medians["n"]]
    assert [float(row[2].split(" [")[0].replace("\N{MINUS SIGN}", "-")) for row in change] == pytest.approx(
        medians["value"].tolist(), abs=0.051
    )
    assert [row[1] for row in tests] == [f"{row.numerator}/{row.denominator}" for row in wilcoxon.itertuples()]
    assert [row[4] for row in tests] == [_p(value) for value in wilcoxon["p_adjusted"]]


def _p(value: float) -> str:
    return "< .001" if value < 0.001 else f"{value:.{3 if value < 0.1 else 2}f}".removeprefix("0")


def test_the_page_needs_nothing_from_elsewhere(page: str, outline: Callable[[str], Any]) -> None:
    elements = outline(page).elements

    assert not [tag for tag, _ in elements if tag in {"script", "link", "img", "iframe", "object", "embed", "image"}]
    assert not [attributes for _, attributes in elements if "src" in attributes or "xlink:href" in attributes]
    assert not re.search(r"@import|@font-face|url\((?!#)", page)
    links = [(tag, attributes["href"]) for tag, attributes in elements if "href" in attributes]
    assert {tag for tag, href in links if not href.startswith("#")} == {"a"}
    assert all(href.startswith(("#", "https://")) for _, href in links)


def test_every_tag_is_closed_and_every_reference_leads_somewhere(page: str, outline: Callable[[str], Any]) -> None:
    read = outline(page)
    names = [attributes["id"] for _, attributes in read.elements if "id" in attributes]
    targets = [attributes["href"][1:] for _, attributes in read.elements if attributes.get("href", "").startswith("#")]
    targets += [attributes["aria-labelledby"] for _, attributes in read.elements if "aria-labelledby" in attributes]
    targets += re.findall(r"url\(#([^)]+)\)", page)

    assert read.faults == []
    assert len(names) == len(set(names))
    assert set(targets) <= set(names)


def test_tables_have_captions_and_scopes_and_figures_have_words(page: str, outline: Callable[[str], Any]) -> None:
    elements = outline(page).elements
    count = [tag for tag, _ in elements].count

    assert count("table") == count("caption")
    assert all(attributes.get("scope") for tag, attributes in elements if tag == "th")
    drawn = [attributes for tag, attributes in elements if tag == "svg"]
    assert len(drawn) == count("figure") == 15
    assert all(one["role"] == "img" and re.search(r"\d", one["aria-label"]) for one in drawn)


def test_headings_leave_no_level_out(page: str, outline: Callable[[str], Any]) -> None:
    levels = [int(tag[1]) for tag, _ in outline(page).elements if re.fullmatch(r"h[1-6]", tag)]

    assert levels[0] == 1
    assert all(later - earlier <= 1 for earlier, later in pairwise(levels))


def _contrast(one: str, other: str) -> float:
    """WCAG 2.1 contrast ratio of two colours, https://www.w3.org/TR/WCAG21/#dfn-contrast-ratio."""
    lights = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lights[0] + 0.05) / (lights[1] + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize(
    ("text", "ground"),
    [("ink", "#ffffff"), ("muted", "#ffffff"), ("accent", "#ffffff"), ("warm-ink", "warm"), ("ink", "warm"),
     ("ink", "faint"), ("alarm", "#ffffff"), ("accent", "warm")],
)  # fmt: skip
def test_text_has_the_contrast_that_wcag_aa_asks_for(text: str, ground: str) -> None:
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", STYLE.read_text(encoding="utf-8")))

    assert _contrast(colours[text], colours.get(ground, ground)) >= 4.5


def test_hostile_texts_are_shown_and_not_run(
    inputs: ReportInputs, make_inputs: Make, outline: Callable[[str], Any]
) -> None:
    events = pd.DataFrame(
        [("syn-00003", HOSTILE, HOSTILE, HOSTILE, "2010-05-01", 3, HOSTILE, HOSTILE, HOSTILE, "date", "2010-04-28")],
        columns=list(inputs.adverse_events.columns),
    )
    link = evidence.Link(label=HOSTILE, url="javascript:alert(1)")
    hostile = make_inputs(
        40,
        events=events,
        change=lambda frame: frame.assign(
            sex=[HOSTILE, *frame["sex"][1:]], ms_type=[HOSTILE, *frame["ms_type"][1:]], patient_id=[
                *frame["patient_id"][:-1], HOSTILE],
        ),
        title=HOSTILE,
        responses=pd.DataFrame({"response_id": [HOSTILE], "reason": [HOSTILE]}),
        choices=(report.Choice(what=HOSTILE, value=HOSTILE, where=HOSTILE),),
        published=(evidence.Published(label=HOSTILE, value=HOSTILE, source=HOSTILE, note=HOSTILE),),
        evidence=(
            evidence.Evidence(
                kind="review", name=HOSTILE, citation=HOSTILE, headline=HOSTILE, source=HOSTILE, links=(link,)
            ),
        ),
        provenance=report.Provenance(
            software_version=HOSTILE,
            mapping_name=HOSTILE,
            mapping_version=HOSTILE,
            files=(report.InputFile(path=HOSTILE, sha256=HOSTILE, counts={HOSTILE: 1}),),
            balance=(HOSTILE,),
        ),
    )  # fmt: skip

    page = report.write(hostile)

    assert "<script" not in page
    assert "<img" not in page
    assert "javascript:" not in page
    assert outline(page).faults == []
    assert page.count("&lt;script&gt;") > 20


def test_no_patient_is_named(page: str) -> None:
    assert "syn-0" not in page


def test_the_same_inputs_give_the_same_page_and_stay_as_they_were(make_inputs: Make) -> None:
    inputs = make_inputs(60)
    frames = [one.name for one in fields(inputs) if isinstance(getattr(inputs, one.name), pd.DataFrame)]
    before = {name: getattr(inputs, name).copy(deep=True) for name in frames}

    assert report.write(inputs) == report.write(inputs)
    for name in frames:
        pd.testing.assert_frame_equal(getattr(inputs, name), before[name])


def test_the_page_hardly_grows_with_the_number_of_patients(make_inputs: Make, page: str) -> None:
    larger = report.write(make_inputs(2590))

    assert len(page.encode()) < 1_500_000
    assert len(larger.encode()) < 1.2 * len(page.encode())


def test_data_that_are_not_synthetic_are_not_called_so(make_inputs: Make) -> None:
    page = report.write(replace(make_inputs(60, change=_no_follow_up), is_synthetic=False))

    assert "synthetic" not in page.lower()


def test_synthetic_data_are_called_so_in_every_row_of_the_comparison(page: str, outline: Callable[[str], Any]) -> None:
    rows = outline(page).tables["table-abstract"]

    assert all("synthetic" in row[2] for row in rows)
    assert page.index("Synthetic data.") < page.index("<h1>")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_nobody, "Nobody is in the cohort, so these data say nothing."),
        (_no_follow_up, "No patient has a score both before and after"),
        (_no_follow_up, "Nobody was followed beyond the first session"),
        (_women_with_ppms, "There are not two groups to compare."),
        (lambda frame: frame.iloc[:1], "the numbers add up"),
        (lambda frame: frame.iloc[:2], "the numbers add up"),
    ],
)
def test_a_report_of_little_data_is_written_and_says_what_is_missing(
    make_inputs: Make, outline: Callable[[str], Any], change: Callable[[pd.DataFrame], pd.DataFrame], said: str
) -> None:
    page = report.write(make_inputs(40, change=change))

    assert said in _words(page)
    assert outline(page).faults == []
    assert "nan" not in re.findall(r"[a-z]+", _words(page).lower())


def test_no_adverse_event_is_said_with_its_upper_bound(make_inputs: Make) -> None:
    inputs = make_inputs(259)
    none = make_inputs(259, events=inputs.adverse_events.iloc[:0])

    page = _words(report.write(none))

    # exact 95 % limits of 0/259, and the one-sided bound: 1.41 % and 1.15 %, computed with R's binom.test
    assert "0/259" in page
    assert "0.00 to 1.41" in page
    assert "up to 1.15" in page
    assert "Not recorded is not the same as not happened" in page


def test_a_run_without_mapping_texts_and_frames_without_columns_is_reported(make_inputs: Make) -> None:
    bare = replace(
        make_inputs(30, change=_nobody),
        cohort=pd.DataFrame(),
        responses=pd.DataFrame(),
        choices=(),
        published=(),
        evidence=(),
        provenance=report.Provenance(software_version="", mapping_name="", mapping_version=""),
    )

    page = _words(report.write(bare))

    assert "The mapping names no later evidence" in page
    assert "The mapping names no published figures" in page


def test_numbers_of_the_flow_that_do_not_add_up_raise_an_alarm(make_inputs: Make) -> None:
    inputs = make_inputs(30, change=_nobody)
    broken = replace(inputs, flow=inputs.flow.assign(excluded=[18, 9, 13]))

    assert "these numbers do not add up; do not use this report" in _words(report.write(broken))


def test_drawing_starts_only_when_a_report_is_written() -> None:
    script = "import sys, integration.report; sys.exit('matplotlib' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_only_so_many_files_are_listed_by_name(make_inputs: Make) -> None:
    files = tuple(report.InputFile(path=f"f{number}.json", sha256="00", counts={}) for number in range(203))
    small = make_inputs(30, change=_nobody)
    inputs = replace(small, provenance=replace(small.provenance, files=files))

    page = _words(report.write(inputs))

    assert "f199.json" in page
    assert "f200.json" not in page
    assert "And 3 files more" in page
