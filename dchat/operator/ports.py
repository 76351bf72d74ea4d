"""The TCP ports of a network on one machine: the usual ones, or others where those are taken."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Final

from dchat.kernel.errors import OperatorError
from dchat.node import http
from dchat.node.address import Address
from dchat.operator.chains import PORT_STEP

HOST: Final = "127.0.0.1"
CHAIN_STEP: Final = 100
"""The i-th validator on a machine adds 100·i, the j-th relay and the k-th HTTP pair j and k."""
MAX_TRIES: Final = 60


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


def choose(wanted: Ports) -> Ports:
    """Return ports that are free now, the wanted ones where possible. Raises: NoFreePort.

    The relay's own port is moved as well: keep it with `is_free` where peers know it.
    """
    chains = _first_free(wanted, CHAIN_STEP, ("p2p", "rpc"), steps=(0, PORT_STEP))
    relay = _first_free(wanted, 1, ("relay",))
    taken = replace(chains, relay=relay.relay)
    for name in ("validator_health", "validator_metrics", "relay_health", "relay_metrics"):
        used = {getattr(taken, each.name) for each in fields(taken) if each.name != name}
        taken = replace(taken, **{name: getattr(_first_free(taken, 1, (name,), used=used), name)})
    return taken


def is_free(port: int) -> bool:
    """Whether this machine lets us listen on the port now."""
    try:
        http.listen(Address(HOST, port)).close()
    except OperatorError:
        return False
    return True


def _first_free(
    wanted: Ports,
    step: int,
    names: tuple[str, ...],
    *,
    steps: Iterable[int] = (0,),
    used: Iterable[int] = (),
) -> Ports:
    """Move the named ports together, until each of them, plus each of `steps`, is free."""
    first = {name: int(getattr(wanted, name)) for name in names}
    taken = frozenset(used)
    for attempt in range(MAX_TRIES):
        moved = {name: port + attempt * step for name, port in first.items()}
        needed = [port + extra for port in moved.values() for extra in steps]
        if not taken.intersection(needed) and all(is_free(port) for port in needed):
            return replace(wanted, **moved)
    raise NoFreePort(f"no free port near {', '.join(str(port) for port in first.values())}")
