"""Markup in every text that a sender writes is shown as text, and no log holds what was in one."""

from html.parser import HTMLParser
from typing import Any

import pytest
import requests
from live_hospital import Hospital
from live_messages import CANARY, FHIR, ITEMS, bundle, encoded, response
from live_service import Service

MARKUP = f"<script>alert('{CANARY}')</script><img src=x onerror=alert(1)>\"'&{{{{7*7}}}}"
DIV = f'<div xmlns="http://www.w3.org/1999/xhtml">{CANARY}<script>alert(1)</script></div>'
TEXT = {"status": "generated", "div": DIV}
CODING = [{"system": "urn:example:x", "code": CANARY, "display": MARKUP}]
NAME = "marked"


class Elements(HTMLParser):
    """The names of the elements of a page, and of the attributes that would run something."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found |= {tag} | {name for name, _ in attrs if name.startswith("on")}
        self.found |= {"javascript:" for _, value in attrs if "javascript:" in (value or "")}


@pytest.fixture(scope="module")
def marked(hospital: Hospital) -> str:
    """A patient whose every text is markup, as the hospital holds him."""
    hospital.put(
        {
            "resourceType": "Patient",
            "id": NAME,
            "text": TEXT,
            "name": [{"family": MARKUP, "given": [MARKUP], "text": MARKUP}],
            "birthDate": "1970-01-01",
            "identifier": [{"system": "urn:example:mrn", "value": MARKUP}],
            "address": [{"line": [MARKUP], "city": CANARY}],
            "telecom": [{"system": "phone", "value": CANARY}],
        }
    )
    return NAME


def _response(name: str, **elements: Any) -> dict[str, Any]:
    """A response, every text of which is markup."""
    items = [
        {
            "linkId": str(item),
            "text": MARKUP,
            "definition": "urn:example:" + CANARY,
            "answer": [{"valueCoding": {"code": "2", "display": MARKUP}} if item == 1 else {"valueInteger": 2}],
        }
        for item in ITEMS
    ]
    free = {"linkId": "free", "text": MARKUP, "answer": [{"valueString": MARKUP}, {"valueUri": f"javascript:{CANARY}"}]}
    texts = {
        "text": TEXT,
        "identifier": {"system": "urn:example:form", "value": f"{name} {MARKUP}"},
        "subject": {"reference": f"Patient/{NAME}", "display": MARKUP},
        "author": {"reference": "Practitioner/1", "display": MARKUP},
        "source": {"reference": f"Patient/{NAME}", "display": MARKUP},
        "language": "de",
        "extension": [{"url": "urn:example:note", "valueString": MARKUP}],
        "contained": [{"resourceType": "Practitioner", "id": "c", "name": [{"text": MARKUP}]}],
        "meta": {"tag": CODING, "source": f"urn:example:{CANARY}"},
    }
    return response(name, NAME, item=[*items[1:], free], **texts | elements)


def _post(target: Service, path: str, body: dict[str, Any]) -> requests.Response:
    return requests.post(f"{target.fhir}{path}", data=encoded(body), headers={"Content-Type": FHIR}, timeout=30)


def test_markup_in_every_text_is_text_on_every_page(target: Service, marked: str, hospital: Hospital) -> None:
    assert _post(target, "/QuestionnaireResponse", _response("markup")).status_code == 201
    hospital.wait_for("markup")
    paths = (f"/chart/{marked}", f"/chart/{marked}/response/markup", "/", f"/chart/{MARKUP}", f"/?q={MARKUP}")

    pages = [requests.get(f"{target.url}{path}", headers={"Accept": "text/html"}, timeout=30) for path in paths]

    assert [page.status_code for page in pages[:3]] == [200, 200, 200]
    for page in pages:
        elements = Elements()
        elements.feed(page.text)
        assert not elements.found & {"script", "img", "onerror", "javascript:", "iframe", "object"}
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert CANARY in pages[0].text  # the patient's name is shown, as text
    assert "&lt;script&gt;" in pages[0].text
    assert CANARY in pages[1].text
    assert "49" not in pages[1].text.replace("&#49", "")


@pytest.mark.usefixtures("marked")
def test_no_text_of_a_patient_is_in_a_log_whatever_becomes_of_it(target: Service) -> None:
    sent = [
        ("/QuestionnaireResponse", _response("canary-1"), 201),
        ("/QuestionnaireResponse", _response("canary-1", status="amended"), 200),
        ("/QuestionnaireResponse", _response("canary-1", status="entered-in-error"), 200),
        ("/QuestionnaireResponse", _response("canary-2", questionnaire=f"urn:example:{CANARY}"), 201),
        ("/QuestionnaireResponse", _response("canary-3", authored=CANARY), 422),
        ("/QuestionnaireResponse", _response("canary-4", status=CANARY), None),
        ("/QuestionnaireResponse", _response("canary-5", subject={"display": CANARY}), 422),
        ("/QuestionnaireResponse", _response("canary-6", subject={"reference": f"Patient/{CANARY}"}), 422),
        ("/QuestionnaireResponse", _response("canary-7", **{CANARY: CANARY}), None),
        ("", bundle("batch", _response("canary-8"), _response("canary-9", authored=CANARY)), 200),
        ("", bundle("transaction", _response("canary-10"), _response("canary-11", authored=CANARY)), 422),
        ("/QuestionnaireResponse/$extract", _response("canary-12"), 200),
        ("/Patient", {"resourceType": "Patient", "name": [{"family": CANARY}]}, 201),
    ]

    answers = [(_post(target, path, body), expected) for path, body, expected in sent]
    target.command("reconcile", "--site", "hospital")

    assert [answer.status_code for answer, expected in answers if expected] == [one[2] for one in sent if one[2]]
    assert [answer.text for answer, _ in answers if answer.status_code >= 400 and CANARY in answer.text] == []
