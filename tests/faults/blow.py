"""Where a running application can be struck, and whom it hits."""

from __future__ import annotations

from dataclasses import dataclass

# Each request is struck before its handler runs, and once its answer is there but not sent.
REQUESTS = (
    "info",
    "init_chain",
    "check_tx",
    "query",
    "prepare_proposal",
    "process_proposal",
    "finalize_block",
    "commit",
)
ABCI = tuple(f"{request}.{when}" for request in REQUESTS for when in ("asked", "answered"))
# What Commit asks of the database: a batch, and a view of what is there then.
STORE = ("write.before", "write.half", "write.after", "view.after")
# What goes on behind it; a batch that only removes is pruning.
BACKGROUND = (
    "prune.before",
    "prune.half",
    "prune.after",
    "compact.before",
    "compact.after",
)
# What the database asks of the system: see disk.c.
DISK = ("disk.write", "disk.torn", "disk.sync", "disk.lost")
VICTIMS = ("app", "node", "both")


@dataclass(frozen=True, slots=True)
class Blow:
    """Kill the victims at the nth passing of a point, counted since the last blow or start."""

    point: str
    nth: int
    victims: str

    def __str__(self) -> str:
        return f"{self.point}:{self.nth}:{self.victims}"

    @property
    def is_disk(self) -> bool:
        """Whether the system's own calls are struck."""
        return self.point in DISK

    @property
    def hits_app(self) -> bool:
        """Whether the application dies."""
        return self.victims != "node"

    @property
    def hits_node(self) -> bool:
        """Whether CometBFT dies."""
        return self.victims != "app"


def parse(text: str) -> tuple[Blow, ...]:
    """Return the blows in `POINT:NTH:VICTIMS,...`."""
    fields = [each.split(":") for each in text.split(",") if each]
    return tuple(Blow(point, int(nth), victims) for point, nth, victims in fields)


def parse_lines(text: str) -> tuple[Blow, ...]:
    """Return the blows of a marker file, one a line; a line under way is left out."""
    return parse(",".join(text.split("\n")[:-1]))
