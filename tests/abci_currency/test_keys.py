from __future__ import annotations

import pytest

from abci_currency import keys
from dchat.kernel import codec
from tests.fakes.memory import ALICE, BOB


def test_an_account_is_kept_under_its_canonical_tuple() -> None:
    assert codec.unpack(keys.account(ALICE.id)) == ["account", ALICE.id]


@pytest.mark.parametrize(
    ("key", "parts"),
    [
        (keys.validator(ALICE.id), ("validator", ALICE.id)),
        (keys.delegation(ALICE.id, BOB.id), ("delegation", ALICE.id, BOB.id)),
        (keys.validator_rewards(BOB.id), ("validator_rewards", BOB.id)),
        (keys.reward_address(ALICE.id), ("reward_address", ALICE.id)),
        (keys.power(5, ALICE.id), ("power", (codec.MAX_U64 - 5).to_bytes(8, "big"), ALICE.id)),
    ],
)
def test_a_key_that_is_put_together_is_the_packed_tuple(
    key: bytes, parts: tuple[codec.Raw, ...]
) -> None:
    assert key == codec.pack(parts)


@pytest.mark.parametrize(
    ("head", "key", "other"),
    [
        (keys.VALIDATORS, keys.validator(ALICE.id), keys.validator_rewards(ALICE.id)),
        (
            keys.DELEGATIONS,
            keys.delegation(ALICE.id, BOB.id),
            keys.redelegation(ALICE.id, BOB.id, 0),
        ),
        (keys.UNBONDINGS, keys.unbonding(ALICE.id, BOB.id, 2**40), keys.validator(ALICE.id)),
        (
            keys.REDELEGATIONS,
            keys.redelegation(ALICE.id, BOB.id, 7),
            keys.delegation(BOB.id, BOB.id),
        ),
        (keys.VALIDATORS_REWARDS, keys.validator_rewards(BOB.id), keys.validator(BOB.id)),
        (keys.RELAYS, keys.relay(ALICE.id), keys.redelegation(ALICE.id, BOB.id, 0)),
        (keys.ESCROWS, keys.escrow(ALICE.id, 2**64 - 1), keys.evidence(0, ALICE.id)),
        (keys.ISSUERS, keys.issuer(ALICE.id), keys.relay(ALICE.id)),
    ],
)
def test_a_head_begins_the_keys_of_its_kind_alone(head: bytes, key: bytes, other: bytes) -> None:
    assert (key.startswith(head), other.startswith(head)) == (True, False)
