"""The chart's pages: who may open which, what is said where nothing is known, and text that stays text."""

import re
from typing import Any

import pytest

from integration.service_settings import Chart, Service, Staff

BROWSER = {"Accept": "text/html"}
HOSTILE = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>{{ 7*7 }}"


def test_a_launch_opens_the_patients_chart(clinic: Any) -> None:
    answer = clinic.client.get(clinic.launch().headers["Location"])

    assert (answer.status_code, answer.content_type) == (200, "text/html; charset=utf-8")
    assert answer.text.count("<svg xmlns") == 2
    assert "higher is worse" in answer.text
    assert "18 of 20 answered, mean of the answered used" in answer.text
    for trial in ("Brave Dreams, 2018", "Canadian trial, 2018", "PREMiSe, 2014", "Cochrane review, 2019"):
        assert trial in answer.text


def test_a_response_dated_in_the_future_is_listed_as_such(clinic: Any, make_response: Any) -> None:
    clinic.hospital.hold(make_response("typo", "2103-05-04", 3))

    text = clinic.client.get(clinic.launch().headers["Location"]).text

    [item] = [line for line in text.splitlines() if "dated in the future" in line]
    assert "2103-05-04" in item


def test_no_page_says_that_the_procedure_works(clinic: Any) -> None:
    text = clinic.client.get(clinic.launch().headers["Location"]).text

    assert not re.search(r"effective|efficac|benefit|cure|works", text, re.IGNORECASE)


def test_another_patients_chart_is_refused(clinic: Any, make_patient: Any) -> None:
    clinic.hospital.hold(make_patient("p2"))
    clinic.launch()

    chart = clinic.client.get("/chart/p2")
    response = clinic.client.get("/chart/p2/response/before")
    unknown = clinic.client.get("/chart/nobody")

    assert (chart.status_code, response.status_code, unknown.status_code) == (403, 403, 403)
    assert "This login is for another patient" in chart.text


def test_an_unknown_patient_is_a_page_404(open_clinic: Any) -> None:
    clinic = open_clinic()
    clinic.launch("nobody")

    answer = clinic.client.get("/chart/nobody")

    assert (answer.status_code, answer.content_type) == (404, "text/html; charset=utf-8")
    assert "This patient is not known here" in answer.text


@pytest.mark.parametrize("patient_id", ["..", "a b", "%00", "x" * 65, "p1'--", "%E2%98%83"])
def test_what_can_be_no_patients_id_is_a_page_404(clinic: Any, patient_id: str) -> None:
    assert clinic.client.get(f"/chart/{patient_id}", headers=BROWSER).status_code == 404


def test_a_merged_patient_leads_to_the_surviving_one(clinic: Any, make_patient: Any) -> None:
    clinic.hospital.hold(make_patient("old", link=[{"type": "replaced-by", "other": {"reference": "Patient/p1"}}]))
    clinic.launch("old")

    answer = clinic.client.get("/chart/old")

    assert (answer.status_code, answer.headers["Location"]) == (303, "/chart/p1")
    assert clinic.client.get("/chart/p1").status_code == 200


def test_without_a_launch_on_a_service_for_others_the_page_says_to_open_it_from_the_ehr(
    open_clinic: Any, authorisation: Any
) -> None:
    chart = Chart(issuers=(authorisation.fhir_url,), client_id="chart")
    staff = Staff(issuer=authorisation.url, client_id="staff", subjects=("dr-1",))
    clinic = open_clinic(Service(chart=chart, staff=staff))

    answer = clinic.client.get("/chart/p1", headers=BROWSER)

    assert answer.status_code == 403
    assert "Open the chart from the EHR" in answer.text
    assert 'href="/staff/login?next=%2Fchart%2Fp1"' in answer.text


@pytest.mark.parametrize(("is_needed", "is_there"), [(True, True), (False, False)])
def test_the_patient_is_named_where_the_ehr_does_not(
    clinic: Any, make_patient: Any, is_needed: bool, is_there: bool
) -> None:
    clinic.hospital.hold(make_patient("p1", name=[{"given": ["Ida"], "family": "Invented"}], meta={"versionId": "2"}))

    text = clinic.client.get(clinic.launch(need_patient_banner=is_needed).headers["Location"]).text

    assert ("Ida Invented" in text) is is_there


def test_the_staff_pages_are_named_to_staff_only(clinic: Any) -> None:
    as_staff = clinic.client.get("/chart/p1").text
    clinic.launch()
    launched = clinic.client.get("/chart/p1").text

    assert 'href="/staff/patients/p1"' in as_staff
    assert "/staff/" not in launched


def test_the_response_is_one_click_away(clinic: Any) -> None:
    text = clinic.client.get(clinic.launch().headers["Location"]).text
    assert 'href="/chart/p1/response/month-6"' in text

    answer = clinic.client.get("/chart/p1/response/month-6")

    assert answer.status_code == 200
    assert "27 of 29 items answered." in answer.text
    assert "Without an answer: 3, 17." in answer.text


def test_another_patients_response_is_not_here(clinic: Any, make_response: Any) -> None:
    clinic.hospital.hold(make_response("others", "2012-06-01", subject={"reference": "Patient/p2"}))
    clinic.launch()

    assert clinic.client.get("/chart/p1/response/others").status_code == 404


def test_every_text_of_a_resource_is_shown_as_text(clinic: Any, make_patient: Any, make_response: Any) -> None:
    coding = {"code": HOSTILE, "display": HOSTILE}
    item = [{"linkId": HOSTILE, "text": HOSTILE, "answer": [{"valueString": HOSTILE}, {"valueCoding": coding}]}]
    clinic.hospital.hold(
        make_patient("p1", name=[{"text": HOSTILE}], birthDate=HOSTILE, gender=HOSTILE, meta={"versionId": "2"}),
        make_response("evil", "2012-09-01", item=item, author={"reference": HOSTILE}, status=HOSTILE),
        make_response("odd", HOSTILE),
    )
    clinic.launch()

    pages = [
        clinic.client.get(path).text for path in ("/chart/p1", "/chart/p1/response/evil", "/chart/p1/response/odd")
    ]

    for page in pages:
        assert "<script" not in page
        assert "<img" not in page
        assert "{{ 7*7 }}" in page or "49" not in page
    assert "&lt;script&gt;alert" in pages[1]


def test_a_response_of_any_shape_is_shown(clinic: Any, make_response: Any) -> None:
    clinic.hospital.hold(
        make_response("a", "2012-09-01", item={"linkId": "1"}, author=[1], meta={"tag": 5}),
        make_response(
            "b", "2012-09-02", item=[1, {"answer": [1, {}, {"valueBoolean": True}]}, {"item": [{"linkId": "x"}]}]
        ),
        make_response("c", "2012-09-03", item=[{"linkId": "1", "answer": [{"valueString": "y" * 5000}]}]),
    )
    clinic.launch()

    assert [clinic.client.get(f"/chart/p1/response/{one}").status_code for one in "abc"] == [200] * 3
    assert "5,000 characters" in clinic.client.get("/chart/p1/response/c").text


def test_the_ehr_is_read_with_the_launchs_own_token(clinic: Any) -> None:
    clinic.hospital.plan("before")
    clinic.hospital.deliver("before")
    import json  # noqa: PLC0415

    for scale in ("physical", "psychological"):
        clinic.ehr.add(json.loads(clinic.hospital.observation("before", scale)))

    text = clinic.client.get(clinic.launch().headers["Location"]).text

    assert text.count("75, the same") == 2
    assert "The EHR was read on" in text


def test_an_ehr_that_is_down_is_said_and_the_page_stands(clinic: Any) -> None:
    clinic.hospital.plan("before")
    clinic.hospital.deliver("before")
    address = clinic.launch().headers["Location"]
    clinic.ehr.is_down = True

    answer = clinic.client.get(address)

    assert answer.status_code == 200
    assert "The EHR was not read" in answer.text
    assert "it answered with status 503" in answer.text
    assert "not read now; 75 on" in answer.text


def with_scope(clinic: Any, scope: str) -> list[Any]:
    """Return the chart and a response's page, as a launch with these scopes sees them."""
    clinic.ehr.register("chart", redirect_uris=["http://localhost/launch/callback"], scope=f"launch openid {scope}")
    clinic.launch()
    return [clinic.client.get(f"/chart/p1{rest}", headers=BROWSER) for rest in ("", "/response/before")]


def test_fewer_scopes_than_asked_are_said(clinic: Any) -> None:
    chart, _ = with_scope(clinic, "patient/Observation.rs")

    assert chart.status_code == 200
    why = "(the login does not allow it)"
    assert f"not read: QuestionnaireResponses {why}, Procedures {why}" in chart.text


@pytest.mark.parametrize(
    ("scope", "statuses"),
    [
        ("", [403, 403]),
        ("patient/Patient.rs", [403, 403]),
        ("patient/Observation.rs", [200, 403]),
        ("patient/QuestionnaireResponse.rs", [403, 200]),
        ("patient/Observation.rs patient/QuestionnaireResponse.rs", [200, 200]),
    ],
)
def test_what_the_ehr_lets_nobody_read_is_not_shown_out_of_our_own_store(
    clinic: Any, scope: str, statuses: list[int]
) -> None:
    pages = with_scope(clinic, scope)

    assert [page.status_code for page in pages] == statuses
    assert all("login does not let" in page.text for page in pages if page.status_code == 403)


def test_a_chart_is_never_kept_and_never_framed_by_others(clinic: Any) -> None:
    headers = clinic.client.get(clinic.launch().headers["Location"]).headers

    assert headers["Cache-Control"] == "no-store"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "script-src" not in headers["Content-Security-Policy"]
