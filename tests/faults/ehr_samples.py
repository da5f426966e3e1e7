"""Requests and resources that the simulator's own tests send."""

from typing import Any

import requests
from ehr_rules import PERFORMER_FUNCTION, SCREENER_SCORE
from ehr_simulator import Simulator

CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
ROW = "urn:oid:1.2.840.114350.1.13.9.9.7.2.707679"
KEY = {"system": "urn:example:outcome", "value": "one"}
MOMENT = "2012-05-04T09:15:00+02:00"


class Client:
    """The requests of these tests."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.session = requests.Session()

    def send(self, method: str, path: str = "", body: Any = None, **headers: str) -> requests.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        url = path if path.startswith("http") else f"{self.simulator.base_url}/{path}".rstrip("/")
        return self.session.request(method, url, json=body, headers=named, timeout=5)

    def create(self, body: Any, **headers: str) -> requests.Response:
        return self.send("POST", body["resourceType"], body, **headers)

    def found(self, path: str) -> list[str]:
        """Return the ids that a search finds, over all pages."""
        ids: list[str] = []
        while path:
            bundle = self.send("GET", path).json()
            ids += [one["resource"]["id"] for one in bundle["entry"] if one["search"]["mode"] == "match"]
            path = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), "")
        return ids


def observation(**elements: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "urn:example:code", "code": "physical"}]},
        "subject": {"reference": "Patient/p1"},
        "effectiveDateTime": MOMENT,
        "valueQuantity": {"value": 61.3, "unit": "{score}"},
        "identifier": [KEY],
        **elements,
    }


def category(code: str) -> list[dict[str, Any]]:
    return [{"coding": [{"system": CATEGORY, "code": code}]}]


def vital_sign(**elements: Any) -> dict[str, Any]:
    """One that the Epic-like rules take."""
    coded = {"coding": [{"system": ROW, "code": "flowsheet-physical"}]}
    shaped = {"category": category("vital-signs"), "code": coded, "encounter": {"reference": "Encounter/e1"}}
    return observation(**{**shaped, **elements})


def signed(**elements: Any) -> dict[str, Any]:
    """One that the Oracle-like rules take."""
    function = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "LA"}]}
    extension = [{"url": PERFORMER_FUNCTION, "valueCodeableConcept": function}]
    performer = [{"reference": "Practitioner/d1", "extension": extension}]
    return observation(**{"category": category("vital-signs"), "performer": performer, **elements})


def note(content_type: str = "text/plain", **elements: Any) -> dict[str, Any]:
    return {
        "resourceType": "DocumentReference",
        "status": "current",
        "type": {"coding": [{"system": "urn:example:note-types", "code": "scores"}]},
        "subject": {"reference": "Patient/p1"},
        "content": [{"attachment": {"contentType": content_type, "data": "c2NvcmU="}}],
        "context": {"encounter": [{"reference": "Encounter/e1"}]},
        **elements,
    }


def questionnaire_response(**elements: Any) -> dict[str, Any]:
    extension = [{"url": SCREENER_SCORE, "valueString": "61.3"}]
    subject = {"reference": "Patient/p1"}
    base = {"resourceType": "QuestionnaireResponse", "status": "completed", "subject": subject, "authored": MOMENT}
    return {**base, "extension": extension, **elements}


def bundle(kind: str, *entries: tuple[str, str, Any]) -> dict[str, Any]:
    listed = [
        {"request": {"method": method, "url": url}, **({"resource": body} if body else {})}
        for method, url, body in entries
    ]
    return {"resourceType": "Bundle", "type": kind, "entry": listed}
