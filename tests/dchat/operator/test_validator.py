from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import trio
from prometheus_client import CollectorRegistry

from abci_chat.machine import MACHINE as CHAT
from dchat.node import config, identity
from dchat.node.address import Address, PeerAddress
from dchat.node.clock import SystemClock
from dchat.node.config import Consensus, Database, ValidatorConfig
from dchat.node.process import parse
from dchat.operator import beacon, home, pulse, validator
from dchat.operator.bonding import Progress
from dchat.operator.cometbft import Binary
from dchat.operator.plan import ValidatorPlan, keys_of, plan
from dchat.operator.pulse import Pulse
from dchat.operator.supervisor import Failure, Phase
from dchat.operator.validator import Tree
from tests.dchat.operator.networks import network
from tests.fakes.cometbft_rpc import FakeNode, serving

SICK = Failure("chat-node", "was killed", ("up", "out of memory"))


@pytest.fixture
def planned(tmp_path: Path) -> ValidatorPlan:
    net = network(tmp_path)
    flags = {
        "validator.identity_file": net.identity,
        "validator.chain_id": "test",
        "validator.data_dir": tmp_path / "data",
        "validator.network": net.file,
    }
    return plan(config.load(ValidatorConfig, None, flags, {}).settings)


def tree(planned: ValidatorPlan) -> Tree:
    pulses = {each.chain.name: Pulse(each.chain.name, "test") for each in planned.chains}
    measures = pulse.declare(CollectorRegistry(), pulses)
    binary = Binary(Path("/c"), "ab", pinned=True)
    return Tree(planned, binary, Path("/run"), pulses, measures, SystemClock(), Progress())


def shown_by(running: Tree) -> dict[str, object]:
    async def main() -> dict[str, object]:
        return dict(validator.status(running, 7))

    return trio.run(main)


def test_status_names_both_chains_and_where_they_listen(planned: ValidatorPlan) -> None:
    shown = shown_by(tree(planned))

    assert shown["uptime_s"] == 7
    assert shown["cometbft"] == {"sha256": "ab", "pinned": True}
    assert "'rpc': '127.0.0.1:26667'" in str(shown["addresses"])


def test_readiness_names_the_chains_waited_for(planned: ValidatorPlan) -> None:
    async def main() -> str:
        return validator.readiness(tree(planned)).why

    assert trio.run(main) == "currency: starting; chat: starting"


def test_a_restart_is_counted_and_its_reason_shown(planned: ValidatorPlan) -> None:
    running = tree(planned)

    validator.recorder(running)("chat", Phase.PAUSED, SICK)

    assert (running.pulses["chat"].restarts, running.pulses["currency"].restarts) == (1, 0)
    assert "'trouble': 'waiting to restart, after: chat-node was killed: out of memory'" in str(
        shown_by(running)
    )


def test_a_clock_far_off_is_a_warning_told_once_for_both_chains(planned: ValidatorPlan) -> None:
    running = tree(planned)
    running.pulses["chat"].skew.seconds, running.pulses["currency"].skew.seconds = -300, -299

    assert shown_by(running)["warnings"] == ["this machine's clock is 300 s behind the network's"]


def test_status_tells_a_validator_from_a_full_node(planned: ValidatorPlan, tmp_path: Path) -> None:
    stranger = identity.create(tmp_path / "stranger.json", "node")
    chain = planned.chains[0]
    full = replace(chain, keys=keys_of(stranger, "currency"))

    status = str(shown_by(tree(replace(planned, chains=(full, planned.chains[1])))))

    assert "'currency': {'role': 'full node'" in status
    assert "'chat': {'role': 'validator'" in status


def test_a_chain_is_given_longer_where_it_may_idle() -> None:
    idle, busy = Consensus(), Consensus(create_empty_blocks=True)

    assert validator.patience_s(idle) - validator.patience_s(busy) == 10


def test_a_short_directory_holds_its_own_sockets(tmp_path: Path) -> None:
    with validator.socket_folder(tmp_path) as folder:
        assert folder == tmp_path.resolve() / "run"
        assert folder.stat().st_mode & 0o777 == 0o700


def test_a_long_directory_gets_a_short_one_for_its_sockets(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 100)
    deep.mkdir()

    with validator.socket_folder(deep) as folder:
        assert len(str(folder / "currency.sock")) <= validator.MAX_SOCKET_PATH

    assert not folder.exists()


def test_a_missing_peer_id_is_asked_of_the_peer(planned: ValidatorPlan) -> None:
    with serving(FakeNode()) as url:
        peer = PeerAddress(Address("127.0.0.1", int(url.rpartition(":")[2]) - 1), None)
        chat = replace(planned.chains[1], bootstrap=(peer,))

        found = trio.run(validator.peers, chat)

    assert found == (f"{'ab' * 20}@{peer.address}",)


def test_a_known_peer_id_is_not_asked_for(planned: ValidatorPlan) -> None:
    place = Address("192.0.2.1", 9)
    chat = replace(
        planned.chains[1], bootstrap=(PeerAddress(place, None),), known={place: "c" * 40}
    )

    assert trio.run(validator.peers, chat) == (f"{'c' * 40}@192.0.2.1:9",)


def test_a_peer_that_does_not_answer_is_left_out(planned: ValidatorPlan) -> None:
    chat = replace(planned.chains[1], bootstrap=(PeerAddress(Address("127.0.0.1", 1), None),))

    assert trio.run(validator.peers, chat) == ()


def test_an_application_is_told_what_the_settings_say_about_its_database() -> None:
    database = Database(backend="rocksdb", cache_size=64, compaction_threads=4)

    flags = " ".join(validator.database_flags(database))

    assert flags == (
        "--backend rocksdb --cache-mib 64 --write-buffer-mib 16 --compaction-threads 4"
    )


def test_the_database_settings_are_flags_that_the_application_knows() -> None:
    database = Database(backend="leveldb", max_open_files=64)

    options = parse(CHAT, ["--socket", "s", "--data-dir", "d", *validator.database_flags(database)])

    assert (options.backend, options.tuning.max_open_files) == ("leveldb", 64)


def test_the_chat_chains_application_is_told_where_its_secret_is(planned: ValidatorPlan) -> None:
    currency, chat = planned.chains

    flags = validator.drawing_flags(chat)
    options = parse(CHAT, ["--socket", "s", "--data-dir", "d", *flags])

    assert options.beacon_secret == home.beacon_secret(chat.home)
    assert validator.drawing_flags(currency) == ()


def test_a_validators_secret_for_draws_comes_from_its_identity(
    planned: ValidatorPlan,
) -> None:
    owner = identity.load(planned.settings.validator.identity_file)

    assert [each.keys.beacon for each in planned.chains] == [b"", beacon.secret(owner)]
    assert beacon.secret(owner).hex() not in str(planned)
