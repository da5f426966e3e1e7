"""What the official suite does not ask: every construct gives its value, or is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from integration.errors import ViewError
from integration.views import CompiledView, compile_view

Column = Callable[..., Any]

PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "p",
    "active": True,
    "birthDate": "1970-06",
    "_birthDate": {"extension": [{"url": "urn:born", "valueDateTime": "1970-06-01T10:00:00Z"}]},
    "_gender": {"id": "g", "extension": [{"url": "urn:why", "valueCode": "masked"}]},
    "name": [
        {"family": "A", "given": [None, "x"], "_given": [{"extension": [{"url": "urn:g", "valueCode": "c"}]}, None]},
        {"family": "B", "given": ["y"], "use": "official"},
    ],
    "multipleBirthInteger": 2,
    "deceasedDateTime": "2020-01-01T00:00:00+02:00",
    "contained": [
        {"resourceType": "Organization", "id": "o", "name": "Org"},
        {"resourceType": "Patient", "id": "c", "birthDate": "2000-01-01"},
    ],
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("multipleBirth.exists()", True),
        ("multipleBirth.empty()", False),
        ("deceased.exists()", True),
        ("multipleBirth.ofType(boolean)", None),
        ("multipleBirth.ofType(integer) + 1", 3),
        ("multipleBirth.ofType(integer) * 1.5", Decimal("3.0")),
        ("-multipleBirth.ofType(integer)", -2),
        ("7 div 2", 3),
        ("7 mod 4", 3),
        ("7 / 2", Decimal("3.5")),
        ("7 / 0", None),
        ("1 + nothing", None),
        ("'a' + 'b'", "ab"),
        ("'a' & gender & 'b'", "ab"),
        ("Patient.name.family.join('|')", "A|B"),
        ("name.last().family", "B"),
        ("name[1].family", "B"),
        ("name[-1].family", None),
        ("name.where(use = 'official').given.first()", "y"),
        ("name.where(use != 'official').family", None),
        ("name.exists(family = 'B')", True),
        ("name.exists(family = 'C')", False),
        ("name.count()", 2),
        ("name.family = 'A'", False),
        ("name.given.count()", 3),
        ("name[0].given[1]", "x"),
        ("name[0].given[0]", None),
        ("gender", None),
        ("active and gender.exists()", True),
        ("(active and {}).empty()", True),
        ("active or {}", True),
        ("active xor {}", None),
        ("active xor true", False),
        ("{} implies active", True),
        ("active implies {}", None),
        ("active.not()", False),
        ("active != true", False),
        ("multipleBirth.ofType(integer) >= 2.0", True),
        ("2 < multipleBirth.ofType(integer)", False),
        ("'a' < 'b'", True),
        ("'a' < gender", None),
        ("birthDate = @1970-06-15", None),
        ("birthDate < @1970-07", True),
        ("deceased.ofType(dateTime) = @2019-12-31T22:00:00Z", True),
        ("deceased.ofType(dateTime) > @2020-06-01", False),
        ("birthDate.lowBoundary()", "1970-06-01"),
        ("id.ofType(string)", "p"),
        ("ofType(Patient).id", "p"),
        ("%resource.id = %context.id", True),
        ("%sct", "http://snomed.info/sct"),
        ("`name`.first().`family`", "A"),
        ("$this.id", "p"),
        ("{}", None),
    ],
)
def test_an_expression_gives_its_value(column: Column, path: str, value: object) -> None:
    found = column(path, PATIENT)

    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("birthDate.extension('urn:born').value.ofType(dateTime)", "1970-06-01T10:00:00Z"),
        ("gender.exists()", True),
        ("gender.id", "g"),
        ("gender.extension('urn:why').value.ofType(code)", "masked"),
        ("gender.extension('urn:other').value.ofType(code)", None),
        ("active.extension('urn:why').exists()", False),
        ("name.given.extension('urn:g').value.ofType(code)", "c"),
    ],
)
def test_a_primitives_extensions_are_read(column: Column, path: str, value: object) -> None:
    assert column(path, PATIENT) == value


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("contained.ofType(Organization).name", "Org"),
        ("contained.ofType(Patient).birthDate", "2000-01-01"),
        ("contained[1].ofType(Patient).birthDate", "2000-01-01"),
        ("contained[0].ofType(Patient).birthDate", None),
        ("contained.where(id = 'o').ofType(Organization).name", "Org"),
        ("contained.first().getResourceKey()", "o"),
        ("contained.count()", 2),
        ("contained.ofType(Observation).exists()", False),
    ],
)
def test_contained_resources_are_read_by_type(column: Column, path: str, value: object) -> None:
    assert column(path, PATIENT) == value


def test_a_bundles_entries_are_read_by_type() -> None:
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": PATIENT}, {"resource": {"resourceType": "Group", "id": "g"}}, {}],
    }
    view = compile_view(
        {
            "resource": "Bundle",
            "select": [
                {
                    "forEach": "entry.resource.ofType(Patient)",
                    "column": [{"name": "key", "path": "getResourceKey()"}],
                    "select": [{"forEach": "name", "column": [{"name": "family", "path": "family"}]}],
                }
            ],
        }
    )

    assert view.read(bundle) == [("p", "A"), ("p", "B")]

    broken = {**bundle, "entry": [{"resource": {"resourceType": "Patient", "name": {}}}]}
    with pytest.raises(ViewError) as caught:
        view.read(broken)
    assert caught.value.path == "entry.resource.name"


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("name.all(family = 'A')", r"all\(\) is FHIRPath, but not supported"),
        ("name.given.distinct()", r"distinct\(\) is FHIRPath"),
        ("name.select(family)", r"select\(\) is FHIRPath"),
        ("iif(active, 1, 2)", r"iif\(\) is FHIRPath"),
        ("link.other.resolve()", r"resolve\(\) is FHIRPath"),
        ("gender.memberOf('urn:x')", r"memberOf\(\) is FHIRPath"),
        ("id.matches('x')", r"matches\(\) is FHIRPath"),
        ("today()", r"today\(\) is FHIRPath"),
        ("children()", r"children\(\) is FHIRPath"),
        ("name.family | name.given", r"operator \| is FHIRPath"),
        ("'A' in name.family", "operator in is FHIRPath"),
        ("name.family contains 'A'", "operator contains is FHIRPath"),
        ("active is boolean", r"operator is is FHIRPath, but not supported; write ofType"),
        ("(deceased as boolean)", r"operator as is FHIRPath, but not supported; write ofType"),
        ("id ~ 'p'", "operator ~ is FHIRPath"),
        ("birthDate + 3 days", "the duration 3 days is FHIRPath, but not supported"),
        ("4 'mg'", "holds primitive values, but 4 'mg' has the type Quantity"),
        ("extension.value.ofType(Quantity) > 4 'mg'", "> on extension.valueQuantity .Quantity. is FHIRPath, but not"),
        ("4 'mg' + 1 'mg'", "it needs numbers"),
        ("name.where($index = 0).family", r"\$index is FHIRPath"),
        ("birthDate.lowBoundary(8)", "with a precision is FHIRPath"),
        ("name < name", "< on name .HumanName. is FHIRPath, but not supported; compare primitive elements of it"),
        ("multipleBirth = 2", r"multipleBirth .choice. is FHIRPath, but not supported; write multipleBirth\.ofType"),
        ("deceased.value", r"write deceased\.ofType\(Type\)"),
        ("multipleBirth", r"several types; name one with ofType\(\)"),
        ("multipleBirth.where($this.exists())", "has several types"),
        ("name", "holds primitive values"),
        (
            "contained.name",
            r"may be any resource, and each type has its own name; write contained\.ofType\(Type\)\.name",
        ),
        ("contained.multipleBirth.exists()", r"for example contained\.ofType\(Patient\)\.multipleBirth"),
        ("id.ofType(System.String)", r"System\.String is FHIRPath"),
        ("name.family.first().extension('u').exists()", "directly behind its element"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(view_of: Callable[..., CompiledView], path: str, what: str) -> None:
    with pytest.raises(ViewError, match=what) as caught:
        view_of(path)
    assert caught.value.path == "select[0].column[0].path"


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("nme()", r"the function nme\(\) does not exist"),
        ("name.exist()", r"does not exist; did you mean exists\(\)\?"),
        ("%use", "the constant '%use' is not defined"),
        ("deceased.ofType(dateTim)", "the type 'dateTim' does not exist; did you mean dateTime"),
        ("link.other.getReferenceKey(Patint)", "the type 'Patint' does not exist"),
        ("link.other.getReferenceKey('Patient')", "takes the name of a type"),
        ("getReferenceKey()", "is of a Reference, not of Patient"),
        ("name.getResourceKey()", "is of a resource, not of HumanName"),
        ("active and id", r"and needs a boolean, not id .id."),
        ("name.where(family)", r"where\(\) needs a boolean"),
        ("id.not()", r"not\(\) needs a boolean"),
        ("birthDate = '1970-06'", "date with string, which are never alike"),
        ("id = 1", "id with integer, which are never alike"),
        ("name = contact", "HumanName with PatientContact, which are never alike"),
        ("name = 'A'", "HumanName with string, which are never alike"),
        ("extension.value.ofType(Quantity) = 4", "Quantity with integer, which are never alike"),
        ("active < true", "does not order booleans"),
        ("1 + 'a'", "needs numbers"),
        ("-id", "needs a number"),
        ("name['a']", "an index must be an integer"),
        ("multipleBirth.ofType(integer).join()", "joins texts"),
        ("id.lowBoundary()", "boundaries are of numbers, dates and times"),
        ("name.first(1)", "takes 0 arguments, not 1"),
        ("@2020-13", "is no date"),
    ],
)
def test_what_is_wrong_is_refused_with_the_offending_part(
    view_of: Callable[..., CompiledView], path: str, what: str
) -> None:
    with pytest.raises(ViewError, match=what):
        view_of(path)


@pytest.mark.parametrize(
    ("path", "warning"),
    [
        ("contained.naem", "DomainResource has no element 'naem', so this yields nothing"),
        ("naem.family", "Patient has no element 'naem', so this yields nothing; did you mean name?"),
        ("multipleBirthInteger", "did you mean multipleBirth.ofType(integer)?"),
        ("multipleBirth.ofType(Quantity).value", "multipleBirth is never of type Quantity"),
        ("gender.ofType(integer)", "gender is of type code, never integer"),
    ],
)
def test_an_unknown_element_yields_nothing_and_a_warning(
    view_of: Callable[..., CompiledView], path: str, warning: str
) -> None:
    view = view_of(path)

    assert view.read(PATIENT) == [(None,)]
    assert [each.startswith("select[0].column[0].path: ") and warning in each for each in view.warnings] == [True]


def test_decimals_are_kept_as_written() -> None:
    view = compile_view(
        {"resource": "Observation", "select": [{"column": [{"name": "v", "path": "value.ofType(Quantity).value"}]}]}
    )
    written = ["1.50", "0.1", "1e3", "12345678901234567890.123456789", "-0.00"]

    found = [
        row[0]
        for text in written
        for row in view.read(b'{"resourceType":"Observation","valueQuantity":{"value":%s}}' % text.encode())
    ]

    assert [str(each) for each in found] == [str(Decimal(text)) for text in written]


def test_two_types_of_one_choice_in_one_file_go_to_their_columns() -> None:
    paths = {"text": "value.ofType(string)", "number": "value.ofType(integer)", "code": "value.ofType(Coding).code"}
    columns = [{"name": name, "path": path} for name, path in paths.items()]
    view = compile_view({"resource": "Observation", "select": [{"column": columns}]})
    values: list[dict[str, Any]] = [{"valueString": "3"}, {"valueInteger": 3}, {"valueBoolean": True}, {}]

    rows = [row for value in values for row in view.read({"resourceType": "Observation", **value})]

    assert rows == [("3", None, None), (None, 3, None), (None, None, None), (None, None, None)]


def test_elements_named_like_python_words_are_read(column: Column) -> None:
    assert column("class.code", {"resourceType": "Encounter", "class": {"code": "AMB"}}) == "AMB"


def test_r5_is_compiled_with_its_own_elements() -> None:
    view = {"resource": "Procedure", "select": [{"column": [{"name": "d", "path": "occurrence.ofType(dateTime)"}]}]}
    procedure = {"resourceType": "Procedure", "occurrenceDateTime": "2012"}

    assert compile_view(view, "5.0.0").read(procedure) == [("2012",)]
    assert compile_view(view, "4.0.1").read(procedure) == [(None,)]
    assert len(compile_view(view, "4.0.1").warnings) == 1


def test_an_integer64_is_text_in_json() -> None:
    view = compile_view(
        {
            "resource": "Observation",
            "select": [{"column": [{"name": "n", "path": "extension.value.ofType(integer64)"}]}],
        },
        "5.0.0",
    )

    def resource(value: object) -> dict[str, Any]:
        return {"resourceType": "Observation", "extension": [{"url": "u", "valueInteger64": value}]}

    assert view.read(resource("-9223372036854775808")) == [(-(2**63),)]
    for broken in ("9223372036854775808", "1.5", 3):
        with pytest.raises(ViewError):
            view.read(resource(broken))
