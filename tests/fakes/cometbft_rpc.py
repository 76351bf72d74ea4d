"""A node's RPC that answers what a test wrote down, over real HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

OWN = "AA" * 20
OTHER = "BB" * 20


@dataclass
class FakeNode:
    """One block a second from 12:00 on; who voted is written down by height."""

    height: int = 1
    power: int = 10
    peers: int = 3
    votes: dict[int, list[tuple[str, int]]] = field(default_factory=dict)
    prevotes: str = "BA{2:x_} 10/20 = 0.50"
    precommits: str = "BA{2:__} 0/20 = 0.00"
    step: int = 4
    catching_up: bool = False
    broken: bytes | None = None
    code: int = 200

    def answer(self, path: str, query: dict[str, list[str]]) -> dict[str, Any]:
        if path == "/status":
            return {
                "node_info": {"id": "ab" * 20, "network": "test"},
                "sync_info": {
                    "latest_block_height": str(self.height),
                    "latest_block_time": _time(self.height),
                    "catching_up": self.catching_up,
                },
                "validator_info": {"address": OWN, "voting_power": str(self.power)},
            }
        if path == "/net_info":
            return {"n_peers": str(self.peers)}
        if path == "/consensus_state":
            return {"round_state": self._round_state()}
        if path == "/validators":
            members = [{"address": who, "voting_power": "10"} for who in (OWN, OTHER)]
            return {"validators": members, "total": "2"}
        height = int(query["height"][0])
        votes = self.votes.get(height, [(OWN, 2)])
        signatures = [{"validator_address": who, "block_id_flag": flag} for who, flag in votes]
        header = {"time": _time(height)}
        return {"signed_header": {"header": header, "commit": {"signatures": signatures}}}

    def _round_state(self) -> dict[str, Any]:
        nobody = "BA{2:__} 0/20 = 0.00"
        rounds = [
            (0, nobody, nobody),
            (1, self.prevotes, self.precommits),
            (2, nobody, nobody),
        ]
        return {
            "height/round/step": f"{self.height + 1}/1/{self.step}",
            "height_vote_set": [
                {"round": number, "prevotes_bit_array": first, "precommits_bit_array": second}
                for number, first, second in rounds
            ],
        }


@contextmanager
def serving(node: FakeNode) -> Generator[str]:
    """Give the address of a server that answers for the node."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = urlsplit(self.path)
            body = node.broken
            if body is None:
                said = {"result": node.answer(asked.path, parse_qs(asked.query))}
                body = json.dumps(said).encode()
            self.send_response(node.code)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _time(height: int) -> str:
    return f"2026-01-01T12:{height // 60:02}:{height % 60:02}Z"
