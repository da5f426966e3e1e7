"""Whatever names another host: the service asks it nothing, and tells nobody of it."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest
import requests
from live_messages import FHIR, bundle, response
from live_service import Service

HOOK = "/cds-services/msis29-outcomes"


class Listener:
    """Counts who comes, and answers nobody."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/fhir"
        self.came = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _run(self) -> None:
        with suppress(OSError):  # closed
            while True:
                connection, _ = self._socket.accept()
                self.came += 1
                connection.close()


@pytest.fixture
def elsewhere() -> Iterator[Listener]:
    """A server that the service has no business with."""
    listener = Listener()
    yield listener
    listener.close()


def test_no_address_in_a_resource_is_asked(target: Service, elsewhere: Listener) -> None:
    url = elsewhere.url
    bodies = [
        response("there-1", "p1", subject={"reference": f"{url}/Patient/p1"}),
        response("there-2", "p1", questionnaire=f"{url}/Questionnaire/1"),
        response(
            "there-3", "p1", source={"reference": f"{url}/Practitioner/1"}, author={"reference": f"{url}/Device/1"}
        ),
        response("there-4", "p1", encounter={"reference": f"{url}/Encounter/1"}),
        response("there-5", "p1", meta={"profile": [f"{url}/StructureDefinition/x"], "source": url}),
        response("there-6", "p1", implicitRules=f"{url}/rules"),
    ]
    sent = [*bodies, bundle("batch", *bodies, link=[{"relation": "next", "url": url}])]

    statuses = [_post(target, "" if one["resourceType"] == "Bundle" else "/QuestionnaireResponse", one) for one in sent]

    assert all(status in (200, 201, 422) for status in statuses)
    assert statuses[0] == 422
    assert elsewhere.came == 0


def test_no_address_in_a_launch_a_hook_a_token_or_a_hint_is_asked(target: Service, elsewhere: Listener) -> None:
    url = elsewhere.url
    token = "eyJhbGciOiJSUzI1NiIsImprdSI6InVybCJ9.e30.c2lnbmF0dXJl"
    hook = {
        "hook": "patient-view",
        "hookInstance": "0c7f1f9e-7d6c-4bb5-8c3b-2b8d3d1f0f5e",
        "context": {"userId": "Practitioner/1", "patientId": "p1"},
        "fhirServer": url,
        "fhirAuthorization": {"access_token": "a", "token_type": "Bearer", "expires_in": 300, "scope": "user/*.*"},
    }
    said = {"Authorization": f"Bearer {token}"}

    launch = requests.get(f"{target.url}/launch", params={"iss": url, "launch": "x"}, timeout=30, allow_redirects=False)
    card = requests.post(f"{target.url}{HOOK}", json=hook, headers=said, timeout=30)
    posted = _post(target, "/QuestionnaireResponse", response("there-7", "p1"), **said)
    hinted = _post(target, "/subscription/hospital", {"resourceType": "Bundle", "link": [{"url": url}]})

    assert launch.status_code in (400, 403, 404)
    assert card.status_code in (200, 401, 403, 412)
    assert posted in (201, 401)
    assert hinted == 200
    assert elsewhere.came == 0


@pytest.mark.parametrize("path", ["/staff/login", "/launch", "/chart/p1", "/"])
def test_nobody_is_sent_elsewhere(target: Service, path: str) -> None:
    names = ("next", "url", "return_to", "redirect_uri", "iss")
    parameters = dict.fromkeys(names, "//evil.example/")

    answer = requests.get(f"{target.url}{path}", params=parameters, timeout=30, allow_redirects=False)

    assert answer.status_code < 500
    assert "evil.example" not in answer.headers.get("Location", "")
    assert 'href="//evil.example' not in answer.text


def _post(target: Service, path: str, body: object, **headers: str) -> int:
    answer = requests.post(
        f"{target.fhir}{path}", data=json.dumps(body), headers={"Content-Type": FHIR, **headers}, timeout=30
    )
    return answer.status_code
