"""The control endpoint of the simulator: faults, switches and the chart over HTTP, for tests in another process."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from ehr_chart import Resource
from ehr_http import WebRequest
from ehr_messages import Answer, json_answer

if TYPE_CHECKING:
    from ehr_simulator import Simulator

ORDERS: Final = (
    "clear",  # true: as new, with "seed"
    "seed",
    "rules",  # name of a rule set
    "switches",  # its fields
    "reset_faults",  # true
    "faults",  # names of the catalogue, or objects with "fault" and attributes to change
    "add",  # resources
    "foreign_edit",  # by reference, elements to put in; {} adds 1 to the value
    "merge_patient",  # references
    "settle",  # true
)
"""What `POST /_control` may ask; done in this order."""


def answer(simulator: Simulator, web: WebRequest) -> Answer:
    """Answer a request to `/_control`, `/_control/store` or `/_control/requests`."""
    views = {"/_control": _state, "/_control/store": _store, "/_control/requests": _log}
    if web.path not in views:
        return json_answer(404, {"error": f"there are {', '.join(views)}"})
    if web.method != "POST":
        return json_answer(200, views[web.path](simulator))
    try:
        obey(simulator, json.loads(web.body))
    except (ValueError, TypeError, LookupError) as error:
        return json_answer(400, {"error": str(error)})
    return json_answer(200, _state(simulator))


def obey(simulator: Simulator, orders: Mapping[str, Any]) -> None:
    """Do what orders ask.

    Raises:
        ValueError: an unknown order, fault, rule set or switch.
    """
    unknown = sorted(set(orders) - set(ORDERS))
    if unknown:
        raise ValueError(f"unknown {', '.join(unknown)}; there are {', '.join(ORDERS)}")
    if orders.get("clear"):
        simulator.clear(int(orders.get("seed", 0)))
    if "rules" in orders or "switches" in orders:
        simulator.configure(orders.get("rules", ""), **tupled(orders.get("switches", {})))
    if orders.get("reset_faults"):
        simulator.reset_faults()
    for asked in orders.get("faults", []):
        changes = {"fault": asked} if isinstance(asked, str) else dict(asked)
        simulator.arm(changes.pop("fault"), **changes)
    _change_chart(simulator, orders)


def _change_chart(simulator: Simulator, orders: Mapping[str, Any]) -> None:
    for resource in orders.get("add", []):
        simulator.add(resource)
    for reference, change in orders.get("foreign_edit", {}).items():
        simulator.foreign_edit(reference, change)
    for reference in orders.get("merge_patient", []):
        simulator.merge_patient(reference)
    if orders.get("settle"):
        simulator.settle()


def tupled(value: Any) -> Any:
    """Return JSON with its lists as tuples, as switches are."""
    if isinstance(value, list):
        return tuple(tupled(one) for one in value)
    return {name: tupled(one) for name, one in value.items()} if isinstance(value, dict) else value


def _state(simulator: Simulator) -> dict[str, Any]:
    armed = [{"fault": one.fault.name, "times": one.fault.times, "fired": one.fired} for one in simulator.armed]
    switches = {
        name: sorted(value) if isinstance(value, frozenset) else value
        for name, value in dataclasses.asdict(simulator.rules).items()
    }
    return {"rules": simulator.rules.name, "switches": switches, "faults": armed, "base_url": simulator.base_url}


def _store(simulator: Simulator) -> dict[str, Any]:
    current: dict[str, list[Resource]] = {}
    for resource in simulator.chart.current():
        current.setdefault(resource["resourceType"], []).append(resource)
    wrote = [f"{one.by} {one.method} {one.reference}/_history/{one.number}" for one in simulator.chart.log()]
    return {"current": current, "wrote": wrote}


def _log(simulator: Simulator) -> list[dict[str, Any]]:
    return [dataclasses.asdict(request) for request in simulator.requests]
