"""Bodies that are no JSON, no FHIR, too long, too deep or not what they say they are."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator

from attack_case import CLOSED, Attack, attack
from attack_wire import posted, request
from live_messages import CANARY, FHIR, bundle, encoded, response

LIMIT = 1024 * 1024
"""The services that are attacked take so many bytes; see `service.body_limit_bytes`."""
DEPTH = 10_000
_GOOD = encoded(response("attacked", "p1"))
_CHUNKED = ("Transfer-Encoding", "chunked")
_GZIP = ("Content-Encoding", "gzip")
_OTHER_TYPES = ("text/plain", "application/xml", "application/fhir+xml", "multipart/form-data; boundary=x")


def attacks() -> Iterator[Attack]:
    """All of them."""
    for name, body in _no_json():
        yield attack("JSON", name, posted(body), expected=[400])
    for name, body, expected in _no_fhir():
        yield attack("FHIR", name, posted(body), expected=expected)
    yield from _content_types()
    yield from _packed()
    yield from _long()
    yield from _bundles()


def _with(**elements: object) -> bytes:
    return encoded(response("attacked", "p1", **elements))  # type: ignore[arg-type]  # what is wrong is the point


def _raw(element: str) -> bytes:
    """A good response with one more element, as written."""
    return b"%s, %s}" % (_GOOD[:-1], element.encode())


def _no_json() -> Iterator[tuple[str, bytes]]:
    yield "nothing", b""
    yield "words", CANARY.encode()
    yield "XML", f"<QuestionnaireResponse><text>{CANARY}</text></QuestionnaireResponse>".encode()
    yield "cut in the middle", _GOOD[: len(_GOOD) // 2]
    yield "two documents", _GOOD + _GOOD
    yield "an array", b"[" + _GOOD + b"]"
    yield "a text", json.dumps(CANARY).encode()
    yield "null", b"null"
    yield "arrays 10,000 deep", b"[" * DEPTH + b"]" * DEPTH
    yield "objects 10,000 deep", b'{"a":' * DEPTH + b"1" + b"}" * DEPTH
    yield "an element 10,000 deep", _raw('"extension": ' + "[" * DEPTH + "]" * DEPTH)
    yield "arrays 500,000 deep", b"[" * 500_000
    yield "a property twice", _raw(f'"status": "{CANARY}"')
    yield "a property twice, once escaped", _raw(f'"st\\u0061tus": "{CANARY}"')
    yield "invalid UTF-8", _raw(f'"language": "{CANARY}?"').replace(b"?", b"\xff\xc3")
    yield "overlong UTF-8", _raw('"language": "de"').replace(b'"de"', b'"\xc0\xaf"')
    yield "UTF-16", _GOOD.decode().encode("utf-16")
    yield "a lone surrogate", _raw(f'"language": "{CANARY}\\ud800"')
    yield "a byte order mark", b"\xef\xbb\xbf" + _GOOD
    yield "U+0000 in a text", _raw(f'"language": "{CANARY}\\u0000"')
    yield "NaN", _raw('"extension": [{"url": "u", "valueDecimal": NaN}]')
    yield "Infinity", _raw('"extension": [{"url": "u", "valueDecimal": -Infinity}]')
    yield "1e400", _raw('"extension": [{"url": "u", "valueDecimal": 1e400}]')
    yield "1e999999999", _raw('"extension": [{"url": "u", "valueDecimal": 1e999999999}]')
    yield "an integer of 100,000 digits", _raw('"extension": [{"url": "u", "valueInteger": ' + "9" * 100_000 + "}]")
    yield "a decimal of 100,000 digits", _raw('"extension": [{"url": "u", "valueDecimal": 0.' + "9" * 100_000 + "}]")


def _no_fhir() -> Iterator[tuple[str, bytes, list[int]]]:
    yield "no resourceType", encoded({"id": "x", "text": CANARY}), [400, 422]
    yield "another resourceType", encoded({"resourceType": CANARY}), [400, 422]
    yield "a Patient", encoded({"resourceType": "Patient", "name": [{"family": CANARY}]}), [400, 422]
    yield "resourceType is an object", encoded({"resourceType": {"a": CANARY}}), [400, 422]
    yield "an id with blanks", _with(id=f"{CANARY} {CANARY}"), [400, 422]
    yield "an id of 65 characters", _with(id="a" * 65), [400, 422]
    yield "an id that is a path", _with(id="../../Patient/p1"), [400, 422]
    yield "an id that is a number", _with(id=7), [400, 422]
    yield "no subject", _with(subject=None), [422]
    yield "a subject of nobody", _with(subject={"reference": "Patient/nobody", "display": CANARY}), [422]
    yield "a subject that is a text", _with(subject=CANARY), [422]
    yield "a subject that is a Group", _with(subject={"reference": "Group/p1"}), [422]
    yield "a subject at another server", _with(subject={"reference": "http://evil.example/fhir/Patient/p1"}), [422]
    yield (
        "a subject that is a urn",
        _with(subject={"reference": "urn:uuid:0c7f1f9e-7d6c-4bb5-8c3b-2b8d3d1f0f5e"}),
        [422],
    )
    yield "a subject that is a path", _with(subject={"reference": "Patient/../Observation/1"}), [422]
    yield "a subject with a query", _with(subject={"reference": "Patient/p1?_format=xml"}), [422]
    yield "a subject with line ends", _with(subject={"reference": "Patient/p1\r\nX-Injected: 1"}), [422]
    inside = [{"resourceType": "Patient", "id": "p", "name": [{"family": CANARY}]}]
    yield "a subject inside", _with(subject={"reference": "#p"}, contained=inside), [422]
    yield "an undeclared modifier", _with(modifierExtension=[{"url": "urn:x", "valueString": CANARY}]), [422]
    yield "a status that is a list", _with(status=[CANARY]), [422]
    yield "a date of another kind", _with(authored=f"{CANARY}"), [422]
    yield "a date that no calendar has", _with(authored="2013-02-31T10:00:00Z"), [422]
    yield "items that are a text", _with(item=CANARY), [422]
    yield "an answer that is an object", _with(item=[{"linkId": "1", "answer": {"valueInteger": CANARY}}]), [422]
    yield "a text where an integer is due", _with(item=[{"linkId": "1", "answer": [{"valueInteger": CANARY}]}]), [422]


def _content_types() -> Iterator[Attack]:
    for sent in (*_OTHER_TYPES, "*/*", "", "\\"):
        data = request("POST", "/fhir/QuestionnaireResponse", _GOOD, ("Content-Type", sent))
        yield attack("content type", sent or "(empty)", data, expected=[415])
    data = request("POST", "/fhir/QuestionnaireResponse", _GOOD)
    yield attack("content type", "(none)", data, expected=[415])
    for parameter in ("charset=utf-16", "charset=latin-1", "fhirVersion=5.0", "fhirVersion=9.9.9"):
        data = request("POST", "/fhir/QuestionnaireResponse", _GOOD, ("Content-Type", f"{FHIR}; {parameter}"))
        yield attack("content type", parameter, data, expected=[415])
    yield attack("content type", "Accept: text/xml", posted(_GOOD, ("Accept", "text/xml")), expected=[406])
    target = "/fhir/QuestionnaireResponse?_format=xml"
    yield attack("content type", "_format=xml", posted(_GOOD, target=target), expected=[406])
    yield attack("content type", "Accept of 50 kB", posted(_GOOD, ("Accept", "a/b," * 1900)), expected=[400, 406, 431])


def _packed() -> Iterator[Attack]:
    whole = gzip.compress(_GOOD, mtime=0)
    bomb = gzip.compress(b" " * (200 * LIMIT), 9, mtime=0)
    for name, body, expected in (
        ("cut off", whole[: len(whole) // 2], [400]),
        ("no trailer", whole[:-8], [400]),
        ("wrong checksum", whole[:-8] + bytes(8), [400]),
        ("not packed", _GOOD, [400]),
        ("an empty body", b"", [400]),
        ("something behind it", whole + CANARY.encode(), [400]),
        ("a bomb of 200 MB", bomb, [413]),
        ("a bomb in a bomb", gzip.compress(bomb, 9, mtime=0), [400, 413]),
        ("zlib instead", zlib.compress(_GOOD), [400]),
    ):
        yield attack("gzip", name, posted(body, _GZIP), expected=expected)
    for name in ("br", "deflate", "gzip, gzip", "\x7f", "chunked"):
        data = posted(whole, ("Content-Encoding", name))
        yield attack("gzip", f"Content-Encoding: {name!r}", data, expected=[400, 415])


def _long() -> Iterator[Attack]:
    spaces = b" " * 65536
    chunk = b"10000\r\n%s\r\n" % spaces
    head = request("POST", "/fhir/QuestionnaireResponse", b"", ("Content-Type", FHIR), _CHUNKED, length=False)
    yield attack("length", "a byte over the limit", posted(_GOOD + b" " * (LIMIT + 1 - len(_GOOD))), expected=[413])
    yield attack("length", "17 times the limit", posted(spaces * 272), expected=[413])
    yield attack("length", "chunks without end", head, *([chunk] * 400), expected=[413, CLOSED])
    huge = request("POST", "/fhir/QuestionnaireResponse", b"", ("Content-Type", FHIR), length=False)
    huge = huge.replace(b"\r\n\r\n", b"\r\nContent-Length: 99999999999999999999\r\n\r\n")
    yield attack("length", "a length of 20 digits", huge, expected=[400, 413])
    text = encoded(response("attacked", "p1", text={"status": "generated", "div": CANARY * (LIMIT // 10)}))
    yield attack("length", "one text over the limit", posted(text), expected=[413])


def _bundles() -> Iterator[Attack]:
    def sent(name: str, body: bytes, *expected: int) -> Attack:
        return attack("Bundle", name, posted(body, target="/fhir"), expected=expected)

    entry = b'{"request":{"method":"POST","url":"X"}}'
    many = b'{"resourceType":"Bundle","type":"transaction","entry":[' + b",".join([entry] * 25_000) + b"]}"
    yield sent("25,000 entries within the limit of bytes", many, 413, 422)
    yield sent("100,000 entries", many[:-2] + b"," + b",".join([entry] * 75_000) + b"]}", 413)
    yield sent("no Bundle", _GOOD, 400, 422)
    yield sent("no type", encoded({"resourceType": "Bundle", "entry": []}), 400, 422)
    yield sent("a type that FHIR has not", encoded({"resourceType": "Bundle", "type": CANARY}), 400, 422)
    text = {"resourceType": "Bundle", "type": "batch", "entry": CANARY}
    yield sent("entries that are a text", encoded(text), 400, 422)
    good = response("attacked", "p1")
    for name, url in (
        ("a path upwards", "../../etc/passwd"),
        ("another host", "http://evil.example/fhir/QuestionnaireResponse/attacked"),
        ("line ends", "QuestionnaireResponse/attacked\r\nHost: evil.example"),
        ("another type", "Patient/attacked"),
        ("nothing", ""),
    ):
        entry_ = {"resource": good, "request": {"method": "PUT", "url": url}}
        body = {"resourceType": "Bundle", "type": "transaction", "entry": [entry_]}
        yield sent(f"a transaction's request.url: {name}", encoded(body), 400, 404, 422)
    nested = bundle("collection", good)
    for _ in range(50):
        nested = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": nested}]}
    yield sent("a Bundle in a Bundle in a Bundle ...", encoded(nested), 200, 400, 422)
