"""A chart put together: scores, changes, gaps, what was withdrawn, and what the ledger and the EHR say of each."""

import json
from datetime import UTC, date, datetime
from fractions import Fraction
from typing import Any

import pytest

from server.service.chart.assembly import verdict
from server.service.chart.found import EhrReading
from server.service.chart.thresholds import THRESHOLDS

READ_AT = datetime(2013, 6, 1, 12, 0, tzinfo=UTC)


def line_of(chart: Any, response_id: str) -> Any:
    return next(line for line in chart.lines if line.response_id == response_id)


@pytest.fixture
def treated(hospital: Any, make_response: Any, make_procedure: Any) -> Any:
    """p1 with a procedure, a baseline and both follow-ups."""
    hospital.hold(
        make_procedure("pr1", "2012-05-07"),
        make_response("before", "2012-05-04", 4),
        make_response("month-1", "2012-06-06", 3),
        make_response("month-6", "2012-11-02", 4),
    )
    return hospital


def test_changes_are_counted_from_the_baseline_of_the_study(treated: Any) -> None:
    chart = treated.chart()

    assert chart.baseline.response_id == "before"
    assert [line.visit for line in chart.lines] == ["Baseline", "1 month", "6 months"]
    # all 4 of 5 is 75, all 3 is 50: 100 (S - 20) / 80 of Hobart et al. 2001, doi:10.1093/brain/124.5.962
    assert line_of(chart, "month-1").results["physical"].change == Fraction(-25)
    assert line_of(chart, "month-6").results["psychological"].change == 0


def test_sessions_and_retreatments_are_marked_with_their_days(treated: Any, make_procedure: Any) -> None:
    treated.hold(make_procedure("pr2", "2012-12-10"), make_procedure("pr3", "2013-01-01", status="not-done"))

    marks = treated.chart().marks

    assert [(one.label, one.days) for one in marks] == [("Procedure", 0), ("Retreatment 1", 217)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (Fraction(-8), "better by 8 points or more"),
        (Fraction(-799, 100), "less than 8 points"),
        (Fraction(0), "less than 8 points"),
        (Fraction(799, 100), "less than 8 points"),
        (Fraction(8), "worse by 8 points or more"),
    ],
)
def test_a_change_of_just_the_threshold_reaches_it(change: Fraction, words: str) -> None:
    assert verdict(change, THRESHOLDS["physical"]) == words


def test_thresholds_are_the_published_ones() -> None:
    """Costelloe et al. 2007 (PMID 17332049): 8; Widener and Allen 2014 (S0003-9993(13)00539-X): about 6."""
    assert {scale: one.points for scale, one in THRESHOLDS.items()} == {"physical": 8, "psychological": 6}


def test_imputation_is_said(treated: Any, make_response: Any) -> None:
    treated.hold(make_response("before", "2012-05-04", 4, without=(3, 17), meta={"versionId": "2"}))

    result = line_of(treated.chart(), "before").results["physical"]

    assert (result.answered, result.items, result.is_imputed, result.score) == (18, 20, True, 75)


def test_a_subscale_with_too_few_answers_is_a_gap_with_its_reason(treated: Any, make_response: Any) -> None:
    treated.hold(make_response("extra", "2012-08-01", 3, without=range(1, 12)))

    line = line_of(treated.chart(), "extra")

    assert line.kind == "scored"
    assert (line.results["physical"].score, line.results["physical"].reason) == (None, "too few items answered")
    assert line.results["psychological"].score == 50


def test_a_response_whose_answers_contradict_the_instrument_is_a_gap_of_both(treated: Any, make_response: Any) -> None:
    treated.hold(make_response("wrong", "2012-08-01", 9))

    line = line_of(treated.chart(), "wrong")

    assert line.kind == "gap"
    assert line.reason == "an answer is outside the range of this version, so no score is computed"
    assert line in treated.chart().drawn


def test_what_was_entered_in_error_is_listed_and_not_drawn(treated: Any, make_response: Any) -> None:
    treated.hold(make_response("wrong", "2012-08-01", status="entered-in-error"))

    chart = treated.chart()

    assert [line.response_id for line in chart.withdrawn] == ["wrong"]
    assert "wrong" not in [line.response_id for line in chart.drawn]


def test_a_response_without_a_full_date_is_listed_with_its_reason(treated: Any, make_response: Any) -> None:
    treated.hold(make_response("vague", "2012-08"))

    [line] = treated.chart().unusable

    assert (line.authored, line.reason) == ("2012-08", "its date is missing or not a full date")


def test_another_questionnaire_is_not_shown(treated: Any, make_response: Any) -> None:
    treated.hold(make_response("phq", "2012-08-01", questionnaire="urn:other"))

    assert "phq" not in [line.response_id for line in treated.chart().lines]


def test_another_patients_response_that_mentions_this_one_is_not_shown(treated: Any, make_response: Any) -> None:
    treated.hold(make_response("other", "2012-08-01", subject={"reference": "Patient/p2"}))

    assert "other" not in [line.response_id for line in treated.chart().lines]


def test_versions_are_never_compared(treated: Any, make_response: Any) -> None:
    treated.hold(
        make_response("month-6", "2012-11-02", questionnaire="urn:outcome-bridge:questionnaire:msis-29-v2",
                      meta={"versionId": "2"})
    )  # fmt: skip

    result = line_of(treated.chart(), "month-6").results["physical"]

    assert (result.change, result.verdict) == (None, "another version than the baseline’s")


def test_without_a_procedure_there_is_no_baseline(hospital: Any, make_response: Any) -> None:
    hospital.hold(make_response("r1", "2012-05-04"))

    chart = hospital.chart()

    assert (chart.baseline, chart.windows, chart.marks) == (None, (), ())
    assert line_of(chart, "r1").results["physical"].verdict == "no baseline"


def test_a_visit_that_nobody_answered_at_is_missed_once_its_window_is_over(hospital: Any, make_procedure: Any) -> None:
    hospital.hold(make_procedure("pr1", "2012-05-07"))

    during = {one.name: one.is_missed for one in hospital.chart(today=date(2012, 7, 6)).windows}
    after = {one.name: one.is_missed for one in hospital.chart(today=date(2012, 7, 7)).windows}

    assert (during["month_1"], after["month_1"], after["month_6"]) == (False, True, False)


def test_what_the_ehr_holds_stands_beside_each_score(treated: Any) -> None:
    treated.plan("before", "month-1", "month-6")
    treated.deliver("before")
    treated.deliver("month-1", "altered", reason="valueQuantity.value")
    observations = (
        treated.observation("before", "physical"),
        treated.observation("month-1", "physical", valueQuantity={"value": 12.5}),
    )

    chart = treated.chart(EhrReading(read_at=READ_AT, observations=observations))

    before, month_1, month_6 = (line_of(chart, one).results for one in ("before", "month-1", "month-6"))
    assert (before["physical"].ehr.words, before["physical"].ehr.tone) == ("75, the same", "good")
    assert before["physical"].ledger.words.startswith("verified on ")
    assert (before["psychological"].ehr.words, before["psychological"].ehr.tone) == ("not found", "alarm")
    assert month_1["physical"].ehr.words == "12.5, differs: 50 was computed"
    assert "valueQuantity.value" in month_1["physical"].ledger.words
    assert (month_6["physical"].ehr.words, month_6["physical"].ledger.words) == ("nothing yet", "waiting to be sent")


@pytest.mark.parametrize(
    ("changes", "words", "tone"),
    [
        ({"status": "entered-in-error"}, "75, entered in error", "alarm"),
        ({"subject": {"reference": "Patient/p2"}}, "75, but filed for another patient", "alarm"),
        ({"valueQuantity": None}, "no value, differs: 75 was computed", "alarm"),
        ({"valueQuantity": {"value": "75.00"}}, "75, the same", "good"),
        ({"valueQuantity": None, "valueInteger": 75}, "75, the same", "good"),
        ({"valueQuantity": {"value": True}}, "no value, differs: 75 was computed", "alarm"),
        ({"valueQuantity": [1]}, "no value, differs: 75 was computed", "alarm"),
        ({"subject": {"reference": "https://ehr.example/fhir/Patient/p1/_history/3"}}, "75, the same", "good"),
    ],
)
def test_a_difference_in_the_ehr_is_said_in_words(treated: Any, changes: Any, words: str, tone: str) -> None:
    treated.plan("before")
    treated.deliver("before")

    reading = EhrReading(read_at=READ_AT, observations=(treated.observation("before", "physical", **changes),))
    said = line_of(treated.chart(reading), "before").results["physical"].ehr

    assert (said.words, said.tone) == (words, tone)


def test_an_ehr_that_was_not_read_leaves_what_was_last_read_with_its_time(treated: Any) -> None:
    treated.plan("before")
    treated.deliver("before")

    said = line_of(treated.chart(), "before").results["physical"].ehr

    assert said.words.startswith("not read now; 75 on ")


def test_a_score_in_the_ehr_that_is_not_ours_is_listed(treated: Any) -> None:
    treated.plan("before")
    treated.deliver("before")
    other = treated.observation("before", "physical", id="other", identifier=[], effectiveDateTime="2011-11-11")
    of_another = treated.observation("before", "physical", id="x", identifier=[], subject={"reference": "Patient/p2"})

    chart = treated.chart(
        EhrReading(read_at=READ_AT, observations=(other, other, of_another, b"{", b"[]", b'{"id":1}'))
    )

    assert [(one.ehr_id, one.scale, one.day, one.value) for one in chart.strangers] == [
        ("other", "physical", "2011-11-11", 75)
    ]


def test_what_waits_for_a_release_is_said_to(treated: Any) -> None:
    treated.plan("before")
    keys = [one.key for one in treated.ledger.of_responses("north", ["before"])]
    treated.ledger.block("north", keys, "withheld: waits for a person's release")

    said = line_of(treated.chart(), "before").results["physical"].ledger

    assert (said.words, said.tone) == ("withheld: waits for a person’s release", "warn")


def test_a_response_that_only_the_ledger_still_knows_is_shown_from_it(treated: Any, make_response: Any) -> None:
    treated.plan("before")
    treated.warehouse.store("north", [])
    gone = treated.chart().lines[0]
    treated.hold(make_response("before", "2012-05-04", 4, subject={"reference": "Patient/p2"}, meta={"versionId": "9"}))

    line = line_of(treated.chart(), "before")

    assert gone.is_held
    assert not line.is_held
    assert (line.day, line.results["physical"].score) == (date(2012, 5, 4), 75)


def test_what_was_posted_counts_before_what_was_pulled_where_versions_do_not_tell(
    treated: Any, make_response: Any
) -> None:
    treated.posted["before"] = [json.dumps(make_response("before", "2012-05-04", 5)).encode()]

    assert line_of(treated.chart(), "before").results["physical"].score == 100


def test_a_response_that_was_corrected_to_another_patient_is_gone_whatever_its_versions_before_say(
    treated: Any, make_response: Any
) -> None:
    others = {"subject": {"reference": "Patient/p2"}}
    versions = make_response("before", "2012-05-04", 4), make_response("before", "2012-05-04", 5, **others)
    treated.plan("before")
    treated.posted["before"] = [json.dumps(one).encode() for one in versions]
    treated.hold(make_response("before", "2012-05-04", 5, **others, meta={"versionId": "9"}))
    treated.plan("before")
    person = treated.gathering.person("p1")

    assert "before" not in [line.response_id for line in treated.chart().lines]
    assert treated.gathering.response(person, "before", EhrReading()) is None


def test_a_response_that_was_pulled_as_another_patients_is_gone_though_it_was_posted_as_this_ones(
    treated: Any, make_response: Any
) -> None:
    sent = make_response("before", "2012-05-04", 4, meta={"versionId": "1"})
    treated.plan("before")
    treated.posted["before"] = [json.dumps(sent).encode()]
    treated.hold(sent | {"subject": {"reference": "Patient/p2"}, "meta": {"versionId": "2"}})

    assert treated.gathering.response(treated.gathering.person("p1"), "before", EhrReading()) is None


def test_responses_of_a_merged_patient_are_shown_with_the_surviving_ones(
    treated: Any, make_patient: Any, make_response: Any
) -> None:
    link = [{"type": "replaced-by", "other": {"reference": "Patient/p1"}}]
    treated.hold(
        make_patient("old", link=link), make_response("early", "2012-04-01", subject={"reference": "Patient/old"})
    )

    assert "early" in [line.response_id for line in treated.chart().lines]
