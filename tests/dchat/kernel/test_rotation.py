from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from abci_chat.machine import MACHINE as CHAT
from abci_currency.machine import MACHINE as CURRENCY
from abci_currency.txs import transfer
from abci_currency.txs.transfer import Transfer
from dchat.kernel import accounts, bundle, codec, rotation, signing, tx
from dchat.kernel.errors import (
    BadKeyProof,
    KeyChanging,
    MalformedBody,
    NonceMismatch,
    SameKey,
    SenderKeyMismatch,
    WeakKey,
)
from dchat.kernel.family import Family
from dchat.kernel.ids import AccountId, Amount, ChainId, Nonce
from dchat.kernel.machine import Block, Machine, run_block
from dchat.kernel.pool import Pool
from dchat.kernel.rotation import KeyRotated, RotateKey, prove
from tests.dchat.kernel.test_zip215 import LOW_ORDER
from tests.fakes.memory import (
    ALICE,
    BOB,
    CHAIN,
    MemoryState,
    Person,
    at_height,
    envelope,
    family,
    opened,
    run,
    step,
)

FUNDS = 100_000
FEE = 2000
NEXT = bytes([71]) * 32
LATER = bytes([72]) * 32
chains = pytest.mark.parametrize("rules", [CURRENCY, CHAT], ids=["currency", "chat"])


def start(rules: Machine) -> MemoryState:
    return opened(rules, alice=FUNDS, bob=FUNDS)


def own_family(rules: Machine) -> Family[RotateKey]:
    found = family(rules, "rotate_key")
    assert isinstance(found, Family)
    return found


def order(
    seed: bytes, account: AccountId = ALICE.id, version: int = 1, chain: ChainId = CHAIN
) -> RotateKey:
    return prove(seed, chain, account, version)


def send(
    rules: Machine, change: RotateKey, nonce: int = 0, seed: bytes = ALICE.seed, **over: object
) -> bytes:
    return by(seed, own_family(rules).body(change), nonce, **over)


def by(seed: bytes, body: tuple[codec.Raw, ...], nonce: int, **over: object) -> bytes:
    """A transaction of alice's account, signed by whatever key."""
    draft = replace(envelope(ALICE, body, nonce), public_key=signing.public_key(seed), **over)
    return tx.build(draft, seed)


def pay(seed: bytes, nonce: int, amount: int = 5) -> bytes:
    return by(seed, transfer.FAMILY.body(Transfer(BOB.id, Amount(amount))), nonce)


@chains
def test_the_account_keeps_its_id_and_has_the_new_key(rules: Machine) -> None:
    after, outcome = step(rules, start(rules), send(rules, order(NEXT)))

    held = accounts.load(after, ALICE.id)
    assert held == accounts.Account(signing.public_key(NEXT), 1, Nonce(1), Amount(FUNDS - FEE))
    assert outcome.events == (KeyRotated(ALICE.id, signing.public_key(NEXT), 1),)


@chains
def test_the_new_key_signs_and_the_old_one_no_longer(rules: Machine) -> None:
    after, _ = step(rules, start(rules), send(rules, order(NEXT)))
    again = order(LATER, version=2)

    old = step(rules, after, send(rules, again, 1))[1].code
    new, outcome = step(rules, after, send(rules, again, 1, seed=NEXT))

    assert (old, outcome.code) == (SenderKeyMismatch.code, 0)
    assert accounts.load(new, ALICE.id).key_version == 2


@chains
def test_the_first_transaction_of_an_account_may_be_a_rotation(rules: Machine) -> None:
    before = accounts.load(start(rules), ALICE.id)

    after, outcome = step(rules, start(rules), send(rules, order(NEXT)))

    assert (before.public_key, outcome.code) == (b"", 0)
    assert step(rules, after, send(rules, order(LATER, version=2), 1))[1].code != 0


REFUSED = [
    (order(NEXT, BOB.id), BadKeyProof.code),
    (order(NEXT, version=0), BadKeyProof.code),
    (order(NEXT, version=2), BadKeyProof.code),
    (order(NEXT, chain=ChainId("test-2")), BadKeyProof.code),
    (replace(order(NEXT), public_key=BOB.public_key), BadKeyProof.code),
    (replace(order(NEXT), proof=bytes(64)), BadKeyProof.code),
    (order(ALICE.seed), SameKey.code),
]


@chains
@pytest.mark.parametrize(("change", "code"), REFUSED)
def test_a_refused_rotation_leaves_the_old_key(
    rules: Machine, change: RotateKey, code: int
) -> None:
    after, outcome = step(rules, start(rules), send(rules, change))

    held = accounts.load(after, ALICE.id)
    assert outcome.code == code
    assert (held.public_key, held.key_version, held.nonce) == (ALICE.public_key, 0, 1)


@chains
@pytest.mark.parametrize("key", LOW_ORDER, ids=bytes.hex)
def test_a_key_that_anybody_signs_for_is_refused(rules: Machine, key: bytes) -> None:
    change = RotateKey(key, bytes(64))

    assert step(rules, start(rules), send(rules, change))[1].code == WeakKey.code


@chains
@pytest.mark.parametrize("body", [(), (b"k" * 31, b"p" * 64), (b"k" * 32, b"p" * 63)])
def test_other_fields_are_malformed(rules: Machine, body: tuple[codec.Raw, ...]) -> None:
    raw = by(ALICE.seed, (own_family(rules).type, *body), 0)

    assert step(rules, start(rules), raw)[1].code == MalformedBody.code


@chains
def test_a_replay_is_refused(rules: Machine) -> None:
    raw = send(rules, order(NEXT))
    after, _ = step(rules, start(rules), raw)

    assert step(rules, after, raw)[1].code == SenderKeyMismatch.code
    assert step(rules, after, send(rules, order(NEXT), 0, seed=NEXT))[1].code == NonceMismatch.code


@chains
def test_a_proof_once_given_does_not_bring_a_key_back(rules: Machine) -> None:
    """The owner's old proof is in every block; it takes the old key's own hand to return to it."""
    state, _ = step(rules, start(rules), send(rules, order(NEXT)))
    state, _ = step(rules, state, send(rules, order(LATER, version=2), 1, seed=NEXT))

    kept, replayed = step(rules, state, send(rules, order(NEXT), 2, seed=LATER))
    _, anew = step(rules, state, send(rules, order(NEXT, version=3), 2, seed=LATER))

    assert (replayed.code, anew.code) == (BadKeyProof.code, 0)
    assert accounts.load(kept, ALICE.id).public_key == signing.public_key(LATER)


def test_two_accounts_with_one_key_stay_two() -> None:
    """What the key signs for one is nothing to the other, whose id stands in no such envelope."""
    state, _ = step(CURRENCY, start(CURRENCY), send(CURRENCY, order(BOB.seed)))

    after, outcome = step(CURRENCY, state, pay(BOB.seed, 1))

    assert outcome.code == 0
    assert accounts.load(after, BOB.id).nonce == 0
    assert accounts.load(after, BOB.id).balance == FUNDS + 5


def test_the_new_keys_own_id_does_not_open_the_account() -> None:
    stranger = Person(NEXT)
    state, _ = step(CURRENCY, start(CURRENCY), send(CURRENCY, order(NEXT)))

    body = transfer.FAMILY.body(Transfer(BOB.id, Amount(5)))
    raw = tx.build(envelope(stranger, body, 1), NEXT)

    assert step(CURRENCY, state, raw)[1].code != 0


def check(pool: Pool, state: MemoryState, raw: bytes, height: int = 1) -> int:
    return pool.check(state, raw, at_height(height)).code


@chains
@pytest.mark.parametrize("change", [order(NEXT), REFUSED[0][0]], ids=["done", "refused"])
@pytest.mark.parametrize("seed", [ALICE.seed, NEXT], ids=["old key", "new key"])
def test_nothing_waits_behind_a_rotation(rules: Machine, change: RotateKey, seed: bytes) -> None:
    """Which key signs there is not known; a block would refuse the wrong one free of charge."""
    pool = Pool(rules)
    behind = send(rules, order(LATER, version=2), 1, seed=seed)

    first = check(pool, start(rules), send(rules, change))
    codes = [check(pool, start(rules), behind), check(pool, start(rules), send(rules, change))]

    assert (first, codes) == (0, [KeyChanging.code, 0])
    assert len(pool.verified) == 1


def test_others_wait_as_ever_behind_somebodys_rotation() -> None:
    pool = Pool(CURRENCY)
    state = start(CURRENCY)
    body = transfer.FAMILY.body(Transfer(ALICE.id, Amount(5)))
    others = [tx.build(envelope(BOB, body, nonce), BOB.seed) for nonce in (0, 1)]

    codes = [check(pool, state, raw) for raw in (send(CURRENCY, order(NEXT)), *others)]

    assert codes == [0, 0, 0]


def test_what_waits_in_front_of_a_rotation_goes_first() -> None:
    pool, state = Pool(CURRENCY), start(CURRENCY)
    waiting = [pay(ALICE.seed, 0), send(CURRENCY, order(NEXT), 1)]

    codes = [check(pool, state, raw) for raw in waiting]
    result = run(CURRENCY, state, *pool.propose(state, waiting, 10**6, at_height()))

    assert codes == [0, 0]
    assert [outcome.code for outcome in result.outcomes] == [0, 0]


@pytest.mark.parametrize("seed", [ALICE.seed, NEXT], ids=["old key", "new key"])
def test_a_proposal_leaves_out_what_stands_behind_a_rotation(seed: bytes) -> None:
    """RPC's `check_tx` can put the pool in doubt; the proposer looks for himself."""
    state = start(CURRENCY)
    rotates = send(CURRENCY, order(NEXT))

    chosen = Pool(CURRENCY).propose(state, [rotates, pay(seed, 1)], 10**6, at_height())

    assert chosen == (rotates,)


@pytest.mark.parametrize("seed", [ALICE.seed, NEXT], ids=["old key", "new key"])
def test_a_bundle_has_nothing_behind_a_rotation(seed: bytes) -> None:
    state, rotates = start(CURRENCY), send(CURRENCY, order(NEXT))
    both = bundle.build([rotates, pay(seed, 1)])

    code = check(Pool(CURRENCY), state, both)
    chosen = Pool(CURRENCY).propose(state, [both], 10**6, at_height())

    assert code == KeyChanging.code
    assert [list(bundle.carried(raw)) for raw in chosen] == [[rotates]]


@pytest.mark.parametrize(
    ("seed", "code"), [(ALICE.seed, SenderKeyMismatch.code), (NEXT, 0)], ids=["old key", "new key"]
)
def test_after_its_block_the_new_key_alone_may_wait(seed: bytes, code: int) -> None:
    pool, state = Pool(CURRENCY), start(CURRENCY)
    rotates = send(CURRENCY, order(NEXT))
    check(pool, state, rotates)
    after = state.after(run(CURRENCY, state, rotates).writes)
    pool.commit([rotates])

    assert check(pool, after, pay(seed, 1), height=2) == code


@pytest.mark.parametrize(
    ("seed", "code"), [(ALICE.seed, 0), (NEXT, SenderKeyMismatch.code)], ids=["old key", "new key"]
)
def test_after_a_refused_rotation_the_old_key_alone_may_wait(seed: bytes, code: int) -> None:
    pool, state = Pool(CURRENCY), start(CURRENCY)
    rotates = send(CURRENCY, REFUSED[0][0])
    check(pool, state, rotates)
    after = state.after(run(CURRENCY, state, rotates).writes)
    pool.commit([rotates])

    assert check(pool, after, pay(seed, 1), height=2) == code


def test_a_waiting_rotation_still_waits_after_a_block_of_others() -> None:
    pool, state = Pool(CURRENCY), start(CURRENCY)
    rotates = send(CURRENCY, order(NEXT))
    check(pool, state, rotates)
    pool.commit([])

    codes = [check(pool, state, raw, height=2) for raw in (rotates, pay(ALICE.seed, 1))]

    assert codes == [0, KeyChanging.code]


def test_what_a_pool_remembers_of_the_old_key_does_not_outlive_a_rotation() -> None:
    """It was let in while another node's proposal carried the rotation."""
    pool, state = Pool(CURRENCY), start(CURRENCY)
    mine = [pay(ALICE.seed, 0), pay(ALICE.seed, 1)]
    admitted = [check(pool, state, raw) for raw in mine]
    theirs = send(CURRENCY, order(NEXT))
    after = state.after(run(CURRENCY, state, theirs).writes)
    pool.commit([theirs])

    codes = [check(pool, after, raw, height=2) for raw in mine]
    block = Block(at_height(2), mine)
    outcomes = run_block(CURRENCY, after, block, pool.recognise(mine)).outcomes

    assert admitted == [0, 0]
    assert codes == [SenderKeyMismatch.code] * 2
    assert [outcome.code for outcome in outcomes] == codes


seeds = st.sampled_from([ALICE.seed, NEXT, LATER])


class Rotating(RuleBasedStateMachine):
    """Whatever is let in to wait pays when it is proposed, and one key signs at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.state = opened(CURRENCY, alice=10_000_000, bob=1)
        self.pool = Pool(CURRENCY)
        self.mempool: list[bytes] = []
        self.height = 1

    @rule(new=seeds, by_whom=seeds, version=st.integers(0, 1), gap=st.integers(0, 1))
    def rotate(self, new: bytes, by_whom: bytes, version: int, gap: int) -> None:
        held = accounts.load(self.state, ALICE.id)
        change = order(new, version=held.key_version + version)
        nonce = held.nonce + len(self.mempool) + gap
        self.offer(send(CURRENCY, change, nonce, seed=by_whom))

    @rule(by_whom=seeds)
    def pay_bob(self, by_whom: bytes) -> None:
        held = accounts.load(self.state, ALICE.id)
        self.offer(pay(by_whom, held.nonce + len(self.mempool)))

    def offer(self, raw: bytes) -> None:
        if check(self.pool, self.state, raw, self.height) == 0 and raw not in self.mempool:
            self.mempool.append(raw)

    @rule()
    def block(self) -> None:
        chosen = self.pool.propose(self.state, self.mempool, 10**6, at_height(self.height))
        result = run(CURRENCY, self.state, *chosen, height=self.height)
        before = accounts.load(self.state, ALICE.id)
        self.state = self.state.after(result.writes)
        self.pool.commit(chosen)
        self.height += 1
        after = accounts.load(self.state, ALICE.id)
        assert list(chosen) == self.mempool
        assert all(outcome.cost_used for outcome in result.outcomes)
        assert after.nonce == before.nonce + len(chosen)
        assert after.key_version - before.key_version in {0, 1}
        self.mempool = []

    @invariant()
    def one_key_signs(self) -> None:
        held = accounts.load(self.state, ALICE.id)
        codes = [
            step(CURRENCY, self.state, pay(seed, held.nonce))[1].code
            for seed in (ALICE.seed, NEXT, LATER)
        ]
        assert sorted(codes) == [0, SenderKeyMismatch.code, SenderKeyMismatch.code]


TestRotating = Rotating.TestCase
TestRotating.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)


def test_the_proof_is_over_the_domain_and_the_canonical_array() -> None:
    proof = prove(NEXT, CHAIN, ALICE.id, 1).proof

    signing.verify(
        signing.public_key(NEXT),
        b"dchat/rotate-key/v1",
        b"\x93\xa6test-1\xc4\x20" + ALICE.id + b"\x01",
        proof,
    )
    assert rotation.DOMAIN == b"dchat/rotate-key/v1"
