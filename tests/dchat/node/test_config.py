from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dchat.node import config
from dchat.node.address import Address
from dchat.node.config import BadConfig, Loaded, RelayConfig, ValidatorConfig

NODE = '[node]\nidentity_file = "id.json"\ndata_dir = "/d"\n'
VALIDATOR = '[validator]\nidentity_file = "id.json"\ndata_dir = "/d"\nchain_id = "x"\n'
PEER = "/ip4/seed1.dchat.org/tcp/7070/p2p/12D3KooWABCDEFGHJKLMNPQRSTUV"


def relay(
    path: Path,
    toml: str,
    flags: Mapping[str, object] | None = None,
    env: Mapping[str, str] | None = None,
) -> Loaded[RelayConfig]:
    file = path / "relay.toml"
    file.write_text(toml)
    return config.load(RelayConfig, file, flags or {}, env or {})


def validator(path: Path, toml: str) -> ValidatorConfig:
    file = path / "validator.toml"
    file.write_text(toml)
    return config.load(ValidatorConfig, file, {}, {}).settings


def test_the_defaults_are_safe_for_a_stranger(tmp_path: Path) -> None:
    settings = relay(tmp_path, NODE).settings

    assert settings.observability.health == Address("127.0.0.1", 8080)
    assert settings.observability.metrics == Address("127.0.0.1", 9090)
    assert (settings.network.max_peers, settings.relay.max_queue_size) == (50, 10_000)
    assert settings.database == Path("/d/relay.db")


def test_the_guides_relay_keys_are_read(tmp_path: Path) -> None:
    toml = f"""{NODE}
log_level = "warn"
json_logs = true
[network]
listen_address = "0.0.0.0:7070"
max_peers = 25
bootstrap_nodes = ["{PEER}"]
[relay]
enable = true
max_queue_size = 5000
[storage]
backend = "sqlite"
db_path = "/var/relay.db"
max_message_age = 86400
pruning_interval = "30m"
[observability]
metrics_address = "127.0.0.1:9091"
health_port = 8081
"""

    settings = relay(tmp_path, toml).settings

    assert (settings.node.log_level, settings.node.json_logs) == ("warn", True)
    assert (settings.network.max_peers, settings.network.bootstrap_nodes) == (25, (PEER,))
    assert settings.relay.max_queue_size == 5000
    assert (settings.storage.max_message_age, settings.storage.pruning_interval) == (86_400, 1_800)
    assert settings.database == Path("/var/relay.db")
    assert str(settings.observability.metrics) == "127.0.0.1:9091"
    assert str(settings.observability.health) == "127.0.0.1:8081"


def test_the_guides_validator_keys_are_read(tmp_path: Path) -> None:
    toml = f"""{VALIDATOR}
moniker = "my-validator"
[network]
listen_address = "0.0.0.0:26656"
rpc_listen_address = "0.0.0.0:26657"
max_peers = 100
bootstrap_validators = ["/ip4/validator1.dchat.org/tcp/26656"]
[consensus]
timeout_propose = 2000
timeout_prevote = 500
timeout_precommit = "1s"
timeout_commit = 5000
create_empty_blocks = false
max_block_size = "10MiB"
[database]
backend = "rocksdb"
path = "/fast/chain"
cache_size = 8192
write_buffer_size = 128
max_open_files = 1000
compaction_threads = 4
"""

    settings = validator(tmp_path, toml)

    assert settings.consensus.timeout_propose == 2000
    assert settings.consensus.timeout_precommit == 1000
    assert settings.consensus.max_block_size == 10_485_760
    assert settings.state_dir == Path("/fast/chain")
    assert settings.database.cache_size == 8192
    assert settings.database.compaction_threads == 4
    assert settings.network.bootstrap_validators == ("/ip4/validator1.dchat.org/tcp/26656",)


@pytest.mark.parametrize(
    ("flags", "env", "peers", "source"),
    [
        ({}, {}, 10, "relay.toml"),
        ({}, {"DCHAT_MAX_PEERS": "20"}, 20, "DCHAT_MAX_PEERS"),
        ({"network.max_peers": 30}, {"DCHAT_MAX_PEERS": "20"}, 30, "--max-peers"),
    ],
)
def test_a_flag_wins_over_a_variable_over_the_file(
    tmp_path: Path, flags: Mapping[str, object], env: Mapping[str, str], peers: int, source: str
) -> None:
    loaded = relay(tmp_path, f"{NODE}[network]\nmax_peers = 10\n", flags, env)

    assert loaded.settings.network.max_peers == peers
    assert loaded.sources["network.max_peers"].endswith(source)


@pytest.mark.parametrize(
    ("variable", "text", "key", "value"),
    [
        ("DCHAT_JSON_LOGS", "true", "node.json_logs", "true"),
        ("DCHAT_JSON_LOGS", "0", "node.json_logs", "false"),
        ("DCHAT_DATA_DIR", "/7", "node.data_dir", "/7"),
        ("DCHAT_IDENTITY_FILE", "7", "node.identity_file", "7"),
        ("DCHAT_LISTEN_ADDRESS", "[::1]:9", "network.listen_address", "[::1]:9"),
        ("DCHAT_BOOTSTRAP_NODES", f"{PEER}, {PEER}", "network.bootstrap_nodes", f"{PEER}, {PEER}"),
        ("DCHAT_MAX_MESSAGE_AGE", "7d", "storage.max_message_age", "604800"),
    ],
)
def test_a_variables_text_becomes_the_keys_value(
    tmp_path: Path, variable: str, text: str, key: str, value: str
) -> None:
    loaded = relay(tmp_path, NODE, env={variable: text})

    assert config.show(loaded)[key] == {"value": value, "source": variable}


def test_a_home_directory_is_expanded(tmp_path: Path) -> None:
    settings = relay(tmp_path, '[node]\nidentity_file = "~/id"\ndata_dir = "/d"\n').settings

    assert settings.node.identity_file == Path.home() / "id"


REFUSALS = [
    ("[network]\nmax_peers = 0\n", "network.max_peers: input should be greater than or equal to 1"),
    ("[network]\nmax_peers = true\n", "network.max_peers: input should be a valid integer"),
    ('[network]\nmax_peers = "fifty"\n', "network.max_peers: input should be a valid integer"),
    ("[network]\nmax_peers = 50.0\n", "network.max_peers: input should be a valid integer"),
    ('[network]\nlisten_address = "0.0.0.0"\n', "network.listen_address: '0.0.0.0' has no port"),
    ("[network]\nlisten_address = 7070\n", "network.listen_address: input should be"),
    ('[network]\nbootstrap_nodes = ["seed1"]\n', "is not /ip4/HOST/tcp/PORT"),
    (
        "[network]\nbootstrap_nodes = [1]\n",
        "network.bootstrap_nodes: input should be a valid string",
    ),
    (f"[network]\nbootstrap_nodes = {['/ip4/a/tcp/1'] * 65}\n", "at most 64 items"),
    ('[network]\npublic_address = "1.2.3.4:7070"\n', "is not /ip4/HOST/tcp/PORT"),
    (
        "[network]\nmax_pears = 3\n",
        "unknown key network.max_pears; did you mean network.max_peers?",
    ),
    (
        "[netwrok]\nmax_peers = 3\n",
        "unknown key netwrok.max_peers; did you mean network.max_peers?",
    ),
    ("[relay]\nmax_queue_size = -1\n", "relay.max_queue_size: input should be greater than"),
    ("[relay]\ndelivery_timeout = 300\n", "relay.delivery_timeout is not in this release"),
    ("[relay]\nproof_of_delivery = true\n", "relay.proof_of_delivery is not in this release"),
    ('[storage]\nbackend = "postgres"\n', 'set it to "sqlite"'),
    ('[storage]\nmax_message_age = "soon"\n', "storage.max_message_age: must be a number"),
    ("[nat]\nenable_upnp = true\n", "nat.enable_upnp is not in this release"),
    ("[tracing]\nenabled = true\n", "tracing.enabled is not in this release"),
    ("[backup]\nenable = true\n", "backup.enable is not in this release"),
    ("[observability]\nhealth_port = 65536\n", "observability.health_port: input should be less"),
    ('[observability]\nhealth_address = "x"\n', "observability.health_address: 'x' has no port"),
]


@pytest.mark.parametrize(("toml", "reason"), REFUSALS, ids=[toml for toml, _ in REFUSALS])
def test_a_relay_file_is_refused_with_key_and_reason(
    tmp_path: Path, toml: str, reason: str
) -> None:
    with pytest.raises(BadConfig) as caught:
        relay(tmp_path, NODE + toml)

    assert reason in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path}/relay.toml: ")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("toml", "reason"),
    [
        ("[slashing]\nmissed_blocks_window = 0\n", "slashing.missed_blocks_window: input should"),
        ("[slashing]\nmin_signed_per_window = 1.5\n", "input should be less than or equal to 1"),
        ("[staking]\ninitial_stake = 0\n", "staking.initial_stake: input should be greater"),
        ("[staking]\ninitial_stake = 1.5\n", "staking.initial_stake: input should be a valid int"),
        ('[staking]\ncommission = "5%"\n', "staking.commission: input should be a valid number"),
        ('[database]\nbackend = "mongodb"\n', "should be 'leveldb', 'rocksdb' or 'sqlite'"),
        ("[database]\ncache_size = 1\n", "database.cache_size: input should be greater"),
        (
            "[database]\ncompaction_threads = 4\n",
            "database.compaction_threads: the leveldb backend has no such setting",
        ),
        (
            '[database]\nbackend = "sqlite"\nmax_open_files = 100\n',
            "database.max_open_files: the sqlite backend has no such setting",
        ),
        (
            "[consensus]\ntimeout_propose = 1\n",
            "consensus.timeout_propose: input should be greater",
        ),
        (
            '[consensus]\nmax_block_size = "1kB"\n',
            "consensus.max_block_size: input should be greater",
        ),
        (
            "[consensus]\ncreate_empty_blocks = 1\n",
            "consensus.create_empty_blocks: input should be",
        ),
    ],
)
def test_a_validator_file_is_refused_with_key_and_reason(
    tmp_path: Path, toml: str, reason: str
) -> None:
    with pytest.raises(BadConfig) as caught:
        validator(tmp_path, VALIDATOR + toml)

    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('chain_id = "X Y"', "validator.chain_id: string should match"),
        (f'chain_id = "{"x" * 41}"', "validator.chain_id: string should match"),
        ('moniker = "a\\u001b[31m"', "validator.moniker: string should match"),
        ('data_dir = ""', "validator.data_dir: must be a path"),
        ('data_dir = "a\\u0000b"', "validator.data_dir: must be a path"),
        ("genesis_files = [7]", "validator.genesis_files: must be a path"),
        ('log_level = "loud"', "validator.log_level: must be one of error"),
    ],
)
def test_a_validators_own_keys_are_checked(tmp_path: Path, line: str, reason: str) -> None:
    name = line.partition(" ")[0]
    kept = "".join(f"{old}\n" for old in VALIDATOR.splitlines() if not old.startswith(name))

    with pytest.raises(BadConfig) as caught:
        validator(tmp_path, f"{kept}{line}\n")

    assert reason in str(caught.value)


def test_the_home_of_nobody_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="identity_file: could not determine home directory"):
        relay(tmp_path, '[node]\nidentity_file = "~nosuchuser/id.json"\ndata_dir = "/d"\n')


def test_what_is_missing_is_named_with_every_way_to_give_it() -> None:
    with pytest.raises(BadConfig) as caught:
        config.load(RelayConfig, None, {"node.data_dir": Path("/d")}, {})

    assert str(caught.value) == (
        "node.identity_file is not set: give --identity, DCHAT_IDENTITY_FILE or the key in the file"
    )


def test_a_later_keys_secret_is_not_repeated(tmp_path: Path) -> None:
    toml = '[nat]\nenable_turn = true\nturn_password = "hunter2"\n'

    with pytest.raises(BadConfig) as caught:
        relay(tmp_path, NODE + toml)

    assert "hunter2" not in str(caught.value)


def test_switched_off_features_may_stay_in_the_file(tmp_path: Path) -> None:
    nat = '[nat]\nenable_turn = false\nturn_server = "turn.dchat.org:3478"\n'
    backup = "[backup]\nenable = false\n"

    assert relay(tmp_path, NODE + nat + backup).settings == relay(tmp_path, NODE).settings


def test_settings_cannot_be_changed_afterwards(tmp_path: Path) -> None:
    settings = relay(tmp_path, NODE).settings

    with pytest.raises(ValueError, match="frozen"):
        settings.network.max_peers = 3


@given(st.text(max_size=200))
def test_any_text_in_the_file_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.getbasetemp()

    try:
        relay(path, text)
    except BadConfig as fault:
        described = str(fault)
    else:
        described = "read"

    assert described
