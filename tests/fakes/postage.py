"""A chain in memory with a clock, on which relays, escrows and issuers are tried out."""

from __future__ import annotations

from typing import TypeVar

from abci_currency.machine import MACHINE
from abci_currency.params import DAY_MS
from abci_currency.state import audit, pools, relays
from abci_currency.state.relays import PeerKey
from abci_currency.txs.relay import REGISTER, RegisterRelay
from dchat.kernel import accounts, machine, signing, supply
from dchat.kernel.family import Family
from dchat.kernel.ids import AccountId, Amount, ChainId, EpochMs, Height
from dchat.kernel.machine import Block, BlockContext, Outcome
from dchat.kernel.store import Draft
from tests.fakes.memory import ALICE, CHAIN, START, Person, opened, signed

T = TypeVar("T")
STAKE = Amount(1_000_000_000)
"""The least that a relay stakes by default."""
PEER = b"\x51" * 32
"""The seed of a relay's libp2p identity."""
ADDRESSES = ("/ip4/203.0.113.7/tcp/7070",)
FORTNIGHT_MS = 14 * DAY_MS


def peer_of(seed: bytes) -> PeerKey:
    return PeerKey(signing.public_key(seed))


def registration(
    owner: AccountId,
    seed: bytes = PEER,
    stake: int = STAKE,
    until: int = 1000,
    chain: ChainId = CHAIN,
    addresses: tuple[str, ...] = ADDRESSES,
) -> RegisterRelay:
    """Return the body by which owner registers the relay of this seed."""
    said = relays.statement(chain, owner, peer_of(seed), Height(until))
    proof = signing.sign(seed, relays.PROOF_DOMAIN, said)
    return RegisterRelay(peer_of(seed), addresses, Amount(stake), Height(until), proof)


class Clockwork:
    """A currency chain that makes a block for each transaction, at the time that `now` says."""

    def __init__(self, **funds: int) -> None:
        self.state = opened(MACHINE, **(funds or {"alice": 10**12, "bob": 10**12}))
        self.issued = supply.load(self.state).issued
        self.now = START
        self.height = Height(1)
        self.nonces: dict[Person, int] = {}

    def send(self, who: Person, family: Family[T], fields: T) -> Outcome:
        """Carry out who's transaction and return its outcome."""
        return self.send_raw(signed(who, family.body(fields), self.nonces.get(who, 0)), who)

    def send_raw(self, raw: bytes, who: Person = ALICE) -> Outcome:
        """Carry out a transaction in a block of its own."""
        context = BlockContext(CHAIN, self.height, self.now)
        result = machine.run_block(MACHINE, self.state, Block(context, (raw,)), {})
        self.state = self.state.after(result.writes)
        self.height = Height(self.height + 1)
        self.nonces[who] = accounts.load(self.state, who.id).nonce
        return result.outcomes[0]

    def pass_ms(self, span_ms: int) -> None:
        """Let block time go by."""
        self.now = EpochMs(self.now + span_ms)

    def draft(self) -> Draft:
        """Return a draft for what later rules will do; keep() makes it the state."""
        return Draft(self.state)

    def keep(self, draft: Draft) -> None:
        """Take over what was done to a draft."""
        self.state = self.state.after(draft.writes())

    def balance(self, account: AccountId) -> int:
        """Return what an account or pool holds."""
        return accounts.load(self.state, account).balance

    def pools(self) -> tuple[int, int, int]:
        """Return what is staked by relays, in escrow, and in issuers' bonds."""
        held = (pools.RELAY_STAKES, pools.ESCROWS, pools.ISSUER_BONDS)
        return self.balance(held[0]), self.balance(held[1]), self.balance(held[2])

    def audit(self) -> None:
        """Return if every unit is where the records say."""
        audit.check_invariants(self.state)


def serving(**funds: int) -> Clockwork:
    """Return a chain on which alice runs a relay."""
    chain = Clockwork(**funds)
    chain.send(ALICE, REGISTER, registration(ALICE.id))
    return chain
