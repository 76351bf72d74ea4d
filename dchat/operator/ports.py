"""The TCP ports of a network on one machine: the usual ones, or others where those are taken."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import astuple, dataclass, replace
from typing import Final

from dchat.kernel.errors import OperatorError
from dchat.node import http
from dchat.node.address import Address
from dchat.operator.chains import PORT_STEP

HOST: Final = "127.0.0.1"
NODE_STEP: Final = 100
"""The i-th node on a machine, counted from 0, adds 100·i to each of its ports."""
MAX_TRIES: Final = 60
NODE_PORTS: Final = ("p2p", "rpc", "validator_health", "validator_metrics")


class NoFreePort(OperatorError):
    """Nothing in the range of usual ports is free."""

    hint = "stop a network that still runs on this machine"


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports on the loopback interface. The currency chain's are p2p + 10 and rpc + 10."""

    p2p: int = 26_656
    rpc: int = 26_657
    validator_health: int = 8080
    validator_metrics: int = 9090
    relay: int = 7070
    relay_health: int = 8081
    relay_metrics: int = 9091

    def at(self, place: int) -> Ports:
        """Return the ports of the node in that place, counted from 0."""
        moved = {name: getattr(self, name) + place * NODE_STEP for name in NODE_PORTS}
        return replace(self, **moved)

    def all(self, nodes: int) -> frozenset[int]:
        """Return every port that so many nodes and the relay listen on."""
        placed = [self.at(place) for place in range(nodes)]
        currency = [port + PORT_STEP for each in placed for port in (each.p2p, each.rpc)]
        return frozenset(currency).union(*(astuple(each) for each in placed))


def is_free(port: int) -> bool:
    """Whether this machine lets us listen on the port now."""
    try:
        http.listen(Address(HOST, port)).close()
    except OperatorError:
        return False
    return True


def choose(wanted: Ports, nodes: int = 1, take: Callable[[int], bool] = is_free) -> Ports:
    """Return ports that `take` gives, the wanted ones where possible. Raises: NoFreePort.

    The relay's own port is moved as well: keep it with `take` where peers know it.
    """
    search = _Search(take, tuple(place * NODE_STEP for place in range(nodes)))
    chosen = search.move(wanted, NODE_STEP, ("p2p", "rpc"), (0, PORT_STEP))
    for name in ("validator_health", "validator_metrics"):
        chosen = search.move(chosen, 1, (name,), (0,))
    alone = _Search(take, (0,), search.used)
    for name in ("relay", "relay_health", "relay_metrics"):
        chosen = alone.move(chosen, 1, (name,), (0,))
    return chosen


class _Search:
    """Looks for free ports and remembers what it gave away, so that nothing is given twice."""

    def __init__(
        self, take: Callable[[int], bool], places: tuple[int, ...], used: Iterable[int] = ()
    ) -> None:
        self._take = take
        self._places = places
        self.used = set(used)

    def move(
        self, wanted: Ports, step: int, names: tuple[str, ...], extra: tuple[int, ...]
    ) -> Ports:
        """Move the named ports together until they are free, in every place and plus each extra."""
        first = {name: int(getattr(wanted, name)) for name in names}
        for attempt in range(MAX_TRIES):
            moved = {name: port + attempt * step for name, port in first.items()}
            needed = {
                port + place + more
                for port in moved.values()
                for place in self._places
                for more in extra
            }
            if not self.used & needed and all(self._take(port) for port in sorted(needed)):
                self.used |= needed
                return replace(wanted, **moved)
        raise NoFreePort(f"no free port near {', '.join(str(port) for port in first.values())}")
