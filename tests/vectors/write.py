"""Write the golden vectors: run by `just vectors`, read by test_vectors.py."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

from abci_chat.machine import MACHINE as CHAT
from abci_currency.machine import MACHINE as CURRENCY
from abci_currency.state import pools
from abci_currency.txs.rewards import (
    ADDRESS,
    COMMISSION,
    REWARDS,
    SetRewardAddress,
    WithdrawCommission,
    WithdrawRewards,
)
from abci_currency.txs.transfer import FAMILY as TRANSFER
from abci_currency.txs.transfer import Transfer
from dchat.kernel import accounts, signing, tx
from dchat.kernel.family import Event
from dchat.kernel.ids import Amount
from dchat.kernel.machine import Block, BlockContext, Machine, run_block
from dchat.kernel.merkle import tree
from tests.fakes import offences
from tests.fakes.earners import earned
from tests.fakes.memory import ALICE, BOB, CAROL, MemoryState, opened, run, signed
from tests.vectors import (
    beacons,
    bundles,
    channels,
    governance,
    identities,
    moderation,
    payments,
    postage,
    posts,
    recovery,
    reputation,
    staking,
)

HERE = Path(__file__).parent

Case = dict[str, object]


def account_cases() -> list[Case]:
    return [
        {
            "public_key": who.public_key.hex(),
            "account": who.id.hex(),
            "shown": accounts.show_account(who.id),
        }
        for who in (ALICE, BOB, CAROL)
    ]


def envelope_cases() -> list[Case]:
    bodies = [TRANSFER.body(Transfer(BOB.id, Amount(5), "for lunch")), (7, [True, "nested", [0]])]
    return [_envelope(signed(ALICE, body, nonce)) for nonce, body in enumerate(bodies)]


def _envelope(raw: bytes) -> Case:
    unsigned = raw[: -signing.SIGNATURE_BYTES]
    return {
        "seed": ALICE.seed.hex(),
        "unsigned": unsigned.hex(),
        "digest": hashlib.sha256(unsigned).hexdigest(),
        "raw": raw.hex(),
        "hash": tx.tx_hash(raw).hex(),
    }


def currency_cases() -> list[Case]:
    txs = [
        signed(ALICE, TRANSFER.body(Transfer(BOB.id, Amount(5), "for lunch"))),
        signed(ALICE, TRANSFER.body(Transfer(BOB.id, Amount(5))), 1, fee=2001),
        signed(ALICE, TRANSFER.body(Transfer(BOB.id, Amount(10**9))), 2),
        signed(ALICE, TRANSFER.body(Transfer(BOB.id, Amount(0))), 3),
        signed(ALICE, (1, b"short", 5, ""), 4),
        signed(ALICE, (99,), 5),
        signed(ALICE, TRANSFER.body(Transfer(BOB.id, Amount(1))), 5),
        signed(BOB, TRANSFER.body(Transfer(CAROL.id, Amount(1)))),
    ]
    return list(_chain_cases(CURRENCY, txs))


def rewards_cases() -> list[Case]:
    txs = [
        signed(BOB, REWARDS.body(WithdrawRewards((ALICE.id, BOB.id)))),
        signed(ALICE, COMMISSION.body(WithdrawCommission())),
        signed(BOB, ADDRESS.body(SetRewardAddress(CAROL.id)), 1),
        signed(BOB, REWARDS.body(WithdrawRewards((ALICE.id,))), 2),
        signed(BOB, ADDRESS.body(SetRewardAddress(BOB.id)), 3),
        signed(BOB, REWARDS.body(WithdrawRewards((CAROL.id,))), 4),
        signed(CAROL, COMMISSION.body(WithdrawCommission())),
        signed(CAROL, ADDRESS.body(SetRewardAddress(pools.STAKED)), 1),
    ]
    return list(_cases_from(earned(), CURRENCY, txs))


def postage_cases() -> list[Case]:
    return list(_cases_from(postage.start(), CURRENCY, postage.orders()))


def channels_cases() -> list[Case]:
    return list(_cases_from(channels.start(), CHAT, channels.orders()))


def posts_cases() -> list[Case]:
    return list(_cases_from(posts.start(), CHAT, posts.orders()))


def payments_cases() -> list[Case]:
    return list(_cases_from(payments.start(), CURRENCY, payments.orders()))


def rotation_cases() -> list[Case]:
    return list(_chain_cases(CHAT, payments.chat_orders()))


def unjail_cases() -> list[Case]:
    return list(_cases_from(offences.jailed(), CURRENCY, offences.orders()))


def governance_cases() -> list[Case]:
    return list(_cases_from(governance.start(), CHAT, governance.orders()))


def moderation_cases() -> list[Case]:
    return list(_cases_from(moderation.start(), CHAT, moderation.orders()))


def reputation_cases() -> list[Case]:
    return list(_cases_from(reputation.start(), CHAT, reputation.orders()))


def staking_cases() -> list[Case]:
    return list(_cases_from(staking.start(), CURRENCY, staking.orders()))


def slashing_cases() -> list[Case]:
    return list(_block_cases(offences.started(), CURRENCY, offences.blocks()))


def recovery_cases() -> list[Case]:
    return list(_cases_from(recovery.start(), CHAT, recovery.orders()))


def chat_cases() -> list[Case]:
    return list(_cases_from(identities.start(), CHAT, identities.orders()))


def beacon_cases() -> list[Case]:
    return list(_cases_from(beacons.start(), CHAT, beacons.orders()))


def _chain_cases(rules: Machine, txs: list[bytes]) -> Iterator[Case]:
    return _cases_from(opened(rules, alice=100_000, bob=50_000), rules, txs)


def _cases_from(state: MemoryState, rules: Machine, txs: list[bytes]) -> Iterator[Case]:
    for height, raw in enumerate(txs, 1):
        result = run(rules, state, raw, height=height)
        after = state.after(result.writes)
        yield {
            "pre": _hex(state.entries),
            "tx": raw.hex(),
            "height": height,
            "code": result.outcomes[0].code,
            "cost_used": result.outcomes[0].cost_used,
            "events": [_event(event) for event in result.outcomes[0].events],
            "post": _hex(result.writes),
            "app_hash": [app_hash(state).hex(), app_hash(after).hex()],
        }
        state = after


def _block_cases(
    state: MemoryState, rules: Machine, contexts: list[BlockContext]
) -> Iterator[Case]:
    for context in contexts:
        result = run_block(rules, state, Block(context, ()), {})
        after = state.after(result.writes)
        yield {
            "pre": _hex(state.entries),
            "height": context.height,
            "time_ms": context.block_time_ms,
            "votes": [
                [vote.address.hex(), vote.power, vote.present] for vote in context.last_commit
            ],
            "misbehaviour": [
                [int(each.offence), each.address.hex(), each.power, each.height, each.time_ms]
                for each in context.misbehaviour
            ],
            "events": [_event(event) for event in result.events],
            "updates": [[each.public_key.hex(), each.power] for each in result.validator_updates],
            "post": _hex(result.writes),
            "app_hash": [app_hash(state).hex(), app_hash(after).hex()],
        }
        state = after


def app_hash(state: MemoryState) -> bytes:
    """Return the root of the state tree over these entries."""
    return tree.update(MemoryState(), dict(state.entries)).root


def _event(event: Event) -> Case:
    fields: dict[str, object] = asdict(event)
    return {"name": type(event).__name__} | {name: _plain(each) for name, each in fields.items()}


def _plain(value: object) -> object:
    return value.hex() if isinstance(value, bytes) else value


def _hex(entries: Mapping[bytes, bytes | None]) -> dict[str, str | None]:
    return {
        key.hex(): None if value is None else value.hex() for key, value in sorted(entries.items())
    }


CASES = {
    "beacon.json": beacon_cases,
    "draws.json": beacons.draw_cases,
    "accounts.json": account_cases,
    "envelopes.json": envelope_cases,
    "bundles.json": bundles.cases,
    "currency.json": currency_cases,
    "unjail.json": unjail_cases,
    "staking.json": staking_cases,
    "slashing.json": slashing_cases,
    "chat.json": chat_cases,
    "rewards.json": rewards_cases,
    "postage.json": postage_cases,
    "payments.json": payments_cases,
    "rotation.json": rotation_cases,
    "channels.json": channels_cases,
    "posts.json": posts_cases,
    "recovery.json": recovery_cases,
    "moderation.json": moderation_cases,
    "governance.json": governance_cases,
    "reputation.json": reputation_cases,
}


def main() -> None:
    """Write every file anew."""
    for name, cases in CASES.items():
        (HERE / name).write_text(json.dumps(cases(), indent=1) + "\n")


if __name__ == "__main__":
    main()
