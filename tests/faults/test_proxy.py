"""A connection to a real server that is cut, reset and delayed at every point: nothing is lost, nothing is there twice.

The server is sekmet-fhir, which somebody else wrote; the proxy between is ours, its plan drawn from a seed.
"""

import random
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from delivery_world import STATES, MovingClock, Said, origin_of, outcome_of
from tcp_proxy import KINDS, Action, TcpProxy

from integration import outcomes
from integration.errors import ServerUnreachableError
from integration.settings import Limits, Site
from integration.sources import search
from integration.sources.client import FhirClient
from server.delivery import lookup
from server.delivery.run import deliver
from server.demo import fhir_server
from server.jobs import stores
from server.ledger import Ledger
from server.ledger.states import Books
from server.reconcile import reconcile

ROOT = Path(__file__).resolve().parents[2]
SEKMET = ROOT / ".sekmet" / "bin" / "sekmet"
RESPONSES = 4
TIMEOUT_SECONDS = 1.0
PROBLEMS = [
    *(Action(kind, resets=resets) for kind in KINDS if kind.startswith("cut") for resets in (False, True)),
    Action("cut-after-request", waits=False),
    Action("delay", seconds=2 * TIMEOUT_SECONDS),
]


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Start a server with a data folder of its own."""
    if not SEKMET.is_file():
        pytest.skip("no sekmet-fhir in .sekmet; `make test` installs it")
    with fhir_server.running(SEKMET, tmp_path_factory.mktemp("sekmet")) as url:
        yield urlsplit(url).port or 0


class Delivery:
    """Deliveries of the outcomes of some responses through a proxy, under a site name of their own."""

    def __init__(self, port: int, profile: str, folder: Path) -> None:
        self.port, self.clock = port, MovingClock()
        self.name = f"north-{uuid.uuid4().hex}"
        self.limits = Limits(entries_per_transaction=8, settle_seconds=5, timeout_seconds=TIMEOUT_SECONDS)
        self.profile = profile
        self.ledger = Ledger.open(folder / "ledger.sqlite", now=self.clock.now)

    def site(self, port: int) -> Site:
        base_url = f"http://127.0.0.1:{port}/fhir"
        return Site(name=self.name, base_url=base_url, write_profile=self.profile, limits=self.limits)

    def plan(self, said: Said) -> None:
        origin = origin_of(self.name)
        planner = stores.planner(self.ledger, self.site(self.port))
        responses = [f"r{number}" for number in range(RESPONSES)]
        planner.plan(outcomes.device(origin), [outcome_of(one, said, origin) for one in responses])

    def run(self, through: int) -> str:
        self.clock.sleep(3600.0)
        site = self.site(through)
        with FhirClient(site.base_url, timeout_seconds=TIMEOUT_SECONDS, clock=self.clock.as_clock()) as client:
            try:
                report = deliver(self.ledger, client, site, clock=self.clock.as_clock())
            except ServerUnreachableError as error:
                return type(error).__name__
        return f"{report.remaining} remain"

    def proven(self) -> Books:
        site = self.site(self.port)
        with FhirClient(site.base_url) as client:
            return reconcile(self.ledger, client, site).books

    def copies(self) -> Counter[str]:
        """Return how many resources the server holds for each key of the ledger."""
        found: Counter[str] = Counter()
        with FhirClient(self.site(self.port).base_url) as client:
            for entry in self.ledger.in_state(self.name, STATES, limit=10_000):
                parameter, token = lookup.token(entry)
                pages = search.pages(client, entry.resource_type, {parameter: token})
                found[entry.key] = sum(len(page.resources) for page in pages)
        return found


@pytest.fixture(params=["generic", "single"])
def delivery(request: pytest.FixtureRequest, port: int, tmp_path: Path) -> Iterator[Delivery]:
    made = Delivery(port, request.param, tmp_path)
    yield made
    made.ledger.close()


def settle(delivery: Delivery, proxy: TcpProxy) -> None:
    """Deliver through the proxy until nothing remains, and prove it."""
    ended = [delivery.run(proxy.port) for _ in range(40) if delivery.ledger.counts(delivery.name).keys() - {"accepted"}]
    books = delivery.proven()

    assert books.is_proven, (ended, books.sentences())
    assert set(delivery.copies().values()) == {1}


def plan_of(seed: int) -> Callable[[int, str, str], Action]:
    """Return a plan in which every third exchange, reads among them, meets a problem drawn from the seed."""
    draw = random.Random(f"proxy {seed}")
    return lambda _number, _method, _path: draw.choice(PROBLEMS) if draw.random() < 1 / 3 else Action()


@pytest.mark.parametrize("action", PROBLEMS, ids=lambda one: f"{one.kind}-{one.resets}-{one.waits}")
def test_a_problem_at_a_write_is_overcome(delivery: Delivery, action: Action) -> None:
    delivery.plan(Said(answer=3))
    with TcpProxy(delivery.port, ["pass", action, action], writes_only=True) as proxy:
        settle(delivery, proxy)
        delivery.plan(Said(answer=5, version=2))
        proxy.follow([action, action])
        settle(delivery, proxy)

    assert Counter(one.action for one in proxy.exchanges)[action.kind] == 4


@pytest.mark.parametrize("seed", range(2))
def test_problems_drawn_from_a_seed_are_overcome(delivery: Delivery, seed: int) -> None:
    drawn(delivery, seed)


@pytest.mark.faults
@pytest.mark.parametrize("seed", range(2, 42))
def test_every_draw_of_problems_is_overcome(delivery: Delivery, seed: int) -> None:
    drawn(delivery, seed)


def drawn(delivery: Delivery, seed: int) -> None:
    delivery.plan(Said(answer=3))
    with TcpProxy(delivery.port, plan_of(seed)) as proxy:
        settle(delivery, proxy)
        delivery.plan(Said(answer=5, version=2))
        settle(delivery, proxy)
