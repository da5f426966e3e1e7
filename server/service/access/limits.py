"""How often somebody may: token buckets, in memory, each process for itself."""

from __future__ import annotations

import ipaddress
import math
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_MOST: Final = 10_000


def network_of(address: str) -> str:
    """Return what one client has of addresses: an IPv4 address, the first 64 bits of an IPv6 one (RFC 6177).

    >>> network_of("192.0.2.1"), network_of("2001:db8::1:2"), network_of("::ffff:192.0.2.1"), network_of("")
    ('192.0.2.1', '2001:db8::/64', '192.0.2.1', '')
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.version == 4:
        return str(parsed)
    return str(parsed.ipv4_mapped or ipaddress.ip_network((parsed, 64), strict=False))


@dataclass(slots=True)
class _Bucket:
    level: float
    seen: float


class Buckets:
    """One bucket a name: it holds a minute's worth, and fills evenly.

    Args:
        clock: seconds that only go up.
        most: names that are kept; beyond them the one that was used least recently is forgotten.
    """

    def __init__(self, clock: Callable[[], float], *, most: int = _MOST) -> None:
        self._clock, self._most = clock, most
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, name: str, per_minute: int) -> float:
        """Take one; return 0, or after how many seconds there is one again.

        Args:
            name: whose.
            per_minute: how many a minute, and how many at once.
        """
        now = self._clock()
        with self._lock:
            bucket = self._buckets.pop(name, None) or _Bucket(level=float(per_minute), seen=now)
            bucket.level = min(float(per_minute), bucket.level + (now - bucket.seen) * per_minute / 60)
            bucket.seen = now
            self._buckets[name] = bucket
            while len(self._buckets) > self._most:
                self._buckets.popitem(last=False)
            if bucket.level >= 1:
                bucket.level -= 1
                return 0.0
            return (1 - bucket.level) * 60 / per_minute

    @staticmethod
    def retry_after(seconds: float) -> str:
        """Return a wait as `Retry-After` has it: whole seconds, one at least."""
        return str(max(1, math.ceil(seconds)))
