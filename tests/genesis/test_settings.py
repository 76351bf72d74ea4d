from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dchat.kernel import accounts, signing
from dchat.kernel.amounts import UNIT
from genesis import build, settings
from genesis.settings import BadGenesisSettings

KEYS = [signing.public_key(bytes([number]) * 32).hex() for number in range(4)]
ALICE = accounts.show_account(accounts.account_id(bytes.fromhex(KEYS[3])))
TOP = 'chain_id = "devnet"\ngenesis_time = "2026-11-23T05:00:00Z"\n'
VALIDATOR = f"""[[validators]]
moniker = "v"
account = "{ALICE}"
stake = 10
chat_key = "{KEYS[0]}"
currency_key = "{KEYS[1]}"
"""
STAKING = "[staking]\nmin_validator_stake = 10\n"
ACCOUNT = f'[[accounts]]\naccount = "{ALICE}"\nbalance = "1000"\ncredits = "5.5"\n'


def load(folder: Path, toml: str) -> settings.GenesisSettings:
    path = folder / "genesis.toml"
    path.write_text(toml)
    found = settings.load(path)
    build.build(found)
    return found


def test_a_short_file_is_enough(tmp_path: Path) -> None:
    found = load(tmp_path, TOP + VALIDATOR + ACCOUNT + STAKING)

    assert found.chain_id == "devnet"
    assert found.time_ns == 1_795_410_000 * 10**9
    assert found.validators[0].chat_key.hex() == KEYS[0]
    assert found.validators[0].stake == 10 * UNIT
    assert (found.accounts[0].balance, found.accounts[0].credits) == (1_000_000_000, 5_500_000)
    assert found.limits == settings.Limits()


def test_limits_prices_and_addresses_can_be_set(tmp_path: Path) -> None:
    toml = f"""{TOP}
max_block_size = "1MiB"
max_block_cost = 5000
max_validity_blocks = 100
evidence_max_age = "2d"
evidence_max_blocks = 77
{VALIDATOR}{ACCOUNT}{STAKING}
[chat]
fee_per_1000_cost = 0
rpc = ["http://127.0.0.1:26657"]
seeds = ["{"a" * 40}@127.0.0.1:26656"]
[network]
name = "mainnet"
relays = ["/ip4/127.0.0.1/tcp/7070/p2p/x"]
trusting_period = "1d"
"""

    found = load(tmp_path, toml)

    assert found.limits == settings.Limits(1 << 20, 5000, 100, 172_800, 77)
    assert (found.chat.fee_per_1000_cost, found.chat.rpc) == (0, ("http://127.0.0.1:26657",))
    assert (found.network.name, found.network.trusting_period_s) == ("mainnet", 86_400)


REFUSALS = [
    ("", "chain_id is missing"),
    ("chain_id = 5\n", "chain_id: 5 is not printable text"),
    ('chain_id = "Big"\n', "chain_id 'Big' is not 1 to 40"),
    ('chain_id = "x"\n', "genesis_time is missing"),
    ('chain_id = "x"\ngenesis_time = "now"\n', "genesis_time: not an RFC 3339 time"),
    ('chain_id = "x"\ngenesis_time = 1979-05-27T07:32:00Z\n', "genesis_time: not an RFC 3339"),
    (TOP + "typo = 1\n", "typo is no known key"),
    ('chain_id = "x-currency"\n', "ends as only a currency chain's does"),
    (TOP + ACCOUNT, "there is no validator, so nobody could make a block"),
    (TOP + VALIDATOR, "accounts: nobody has any balance"),
    (TOP + VALIDATOR + ACCOUNT.replace("5.5", "0"), "accounts: nobody has any credits"),
    (TOP + VALIDATOR + ACCOUNT + ACCOUNT, "is named twice"),
    (TOP + VALIDATOR + VALIDATOR + ACCOUNT, "is named twice"),
    (TOP + VALIDATOR.replace(KEYS[1], KEYS[0]) + ACCOUNT, "is named twice"),
    (TOP + VALIDATOR.replace(KEYS[1], "00" * 32) + ACCOUNT, "is not a safe Ed25519 key"),
    (TOP + VALIDATOR.replace(KEYS[1], "aa") + ACCOUNT, "currency_key: not 64 lower-case"),
    (TOP + VALIDATOR.replace("10", "-1") + ACCOUNT, "validators[0].stake: '-1' is not an amount"),
    (TOP + VALIDATOR.replace("10", "true") + ACCOUNT, "validators[0].stake: True is not printable"),
    (TOP + VALIDATOR.replace("stake = 10\n", "") + ACCOUNT, "validators[0].stake is missing"),
    (TOP + VALIDATOR + ACCOUNT.replace("1000", "-1"), "is not an amount"),
    (TOP + VALIDATOR + ACCOUNT.replace(ALICE[-1], "b"), "genesis.toml"),
    (TOP + "max_block_size = 1\n" + VALIDATOR + ACCOUNT, "max_block_size is not an integer from"),
    (TOP + "max_block_cost = 1.5\n" + VALIDATOR + ACCOUNT, "max_block_cost is not an integer"),
    (TOP + "validators = 3\n", "write [[validators]], once for each"),
    (TOP + "validators = [3]\n", "[[validators]] is not a table"),
    (TOP + "chat = 3\n" + VALIDATOR + ACCOUNT, "chat is not a table"),
    (TOP + VALIDATOR + ACCOUNT + "[chat]\nrpc = 3\n", "chat.rpc is not a list"),
    (TOP + VALIDATOR + ACCOUNT + "[chat]\nrcp = []\n", "chat.rcp is no known key"),
    (TOP + VALIDATOR + ACCOUNT + '[network]\ntrusting_period = "x"\n', "must be a number"),
    (
        TOP + VALIDATOR + ACCOUNT + '[network]\ntrusting_period = "14d"\n',
        "network.trusting_period: 1209600 s, but stake answers for 1209600 s only",
    ),
    (TOP + VALIDATOR.replace('"v"', f'"{"é" * 33}"') + ACCOUNT, "is over 64 bytes"),
    (TOP + VALIDATOR.replace('"v"', '""') + ACCOUNT, "its moniker: empty"),
    (TOP + 'evidence_max_age = "15d"\n' + VALIDATOR + ACCOUNT + STAKING, "do not fit together"),
    ("[", "genesis.toml"),
    ("a = " + "[" * 100_000, "recursion"),
]


@pytest.mark.parametrize(("toml", "reason"), REFUSALS, ids=[reason for _, reason in REFUSALS])
def test_a_file_is_refused_with_its_reason(tmp_path: Path, toml: str, reason: str) -> None:
    with pytest.raises((BadGenesisSettings, ValueError)) as caught:
        load(tmp_path, toml)

    assert reason in str(caught.value)


def test_a_missing_file_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(BadGenesisSettings, match="No such file"):
        settings.load(tmp_path / "absent")


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(content)

    with pytest.raises(BadGenesisSettings):
        settings.load(path)
