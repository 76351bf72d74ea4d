"""Every state key of the chat chain; the kernel's own keys are in its modules.

A key is a packed tuple that begins with a word: the module it belongs to.
"""

from __future__ import annotations

from typing import Final

from dchat.kernel import codec
from dchat.kernel.accounts import key as account
from dchat.kernel.ids import AccountId

__all__ = ["account"]

HANDLES: Final = codec.pack(("handle", ""))[:-1]
"""What every key of `handle` begins with."""
CHANNELS: Final = codec.pack(("channel", b""))[:-2]
PROPOSALS: Final = codec.pack(("proposal", 0))[:-1]
CASES: Final = codec.pack(("case", 0))[:-1]
VOTERS: Final = codec.pack(("weight", b""))[:-2]
REPUTATIONS: Final = codec.pack(("reputation", b""))[:-2]
BEACONS: Final = codec.pack(("beacon", b""))[:-2]
TOTAL_WEIGHT: Final = codec.pack(("total_weight",))
PROPOSAL_COUNT: Final = codec.pack(("proposal_count",))
CASE_COUNT: Final = codec.pack(("case_count",))
DECISIONS: Final = codec.pack(("decision", 0))[:-1]
DECISION_COUNT: Final = codec.pack(("decision_count",))
UPGRADE: Final = codec.pack(("upgrade",))
DRAW: Final = codec.pack(("draw",))
"""The randomness that proposers are adding to at the moment, and who waits for it."""
WORK: Final = codec.pack(("work",))
"""How much work a free registration takes now, and what it has to be bound to."""
RECOVERING: Final = codec.pack(("recovering", b""))[:-2]
"""What every key of `recovering` begins with; there are none between blocks."""
JURY_ROLL: Final = codec.pack(("jury_roll",))
JURY_QUEUE: Final = codec.pack(("jury_queue",))
"""Which changes of the roll wait for draws that were asked for before them."""
JURORS: Final = codec.pack(("juror", b""))[:-2]


def identity(owner: AccountId) -> bytes:
    """Return the key of an identity's record."""
    return codec.pack(("identity", owner))


def key_log(owner: AccountId, number: int) -> bytes:
    """Return the key of one entry of an identity's log; the first is number 0."""
    return codec.pack(("key_log", owner, number))


def device(owner: AccountId, device_key: bytes) -> bytes:
    """Return the key of a device's record, revoked or not."""
    return codec.pack(("device", owner, device_key))


def devices(owner: AccountId) -> bytes:
    """Return what the keys of all devices of an identity begin with."""
    return codec.pack(("device", owner, b""))[:-2]


def device_roll(owner: AccountId) -> bytes:
    """Return the key of how many devices an identity has."""
    return codec.pack(("device_roll", owner))


def handle(skeleton: str) -> bytes:
    """Return the key of a handle's record, by what all names that look like it have in common."""
    return codec.pack(("handle", skeleton))


def handle_commitment(owner: AccountId) -> bytes:
    """Return the key of the handle that an account has promised to reveal."""
    return codec.pack(("handle_commitment", owner))


def guardians(owner: AccountId) -> bytes:
    """Return the key of who may give an identity another key, now and soon."""
    return codec.pack(("guardians", owner))


def recovery(owner: AccountId, public_key: bytes) -> bytes:
    """Return the key of what guardians have approved of one new key for an identity."""
    return codec.pack(("recovery", owner, public_key))


def recovering(owner: AccountId) -> bytes:
    """Return the key of the new key that an identity gets at the end of the block."""
    return RECOVERING + codec.pack(owner)


def channel(channel_id: bytes) -> bytes:
    """Return the key of a channel's settings."""
    return codec.pack(("channel", channel_id))


def epoch(channel_id: bytes) -> bytes:
    """Return the key of a channel's present epoch."""
    return codec.pack(("epoch", channel_id))


def member(channel_id: bytes, who: AccountId) -> bytes:
    """Return the key of a member of a channel whose members are listed."""
    return codec.pack(("member", channel_id, who))


def members(channel_id: bytes) -> bytes:
    """Return what the keys of all members of a channel begin with."""
    return codec.pack(("member", channel_id, b""))[:-2]


def ban(channel_id: bytes, who: AccountId) -> bytes:
    """Return the key of until when somebody is kept out of a channel."""
    return codec.pack(("ban", channel_id, who))


def invite(channel_id: bytes, who: AccountId) -> bytes:
    """Return the key of an invitation into a channel."""
    return codec.pack(("invite", channel_id, who))


def join_request(channel_id: bytes, who: AccountId) -> bytes:
    """Return the key of somebody's wish to join a channel."""
    return codec.pack(("join_request", channel_id, who))


def removed_leaf(channel_id: bytes, leaf: bytes) -> bytes:
    """Return the key of a hidden member's leaf that counts no more."""
    return codec.pack(("removed_leaf", channel_id, leaf))


def actor(channel_id: bytes, who: AccountId) -> bytes:
    """Return the key of how often somebody changed a channel's epoch of late."""
    return codec.pack(("actor", channel_id, who))


def sequence(channel_id: bytes) -> bytes:
    """Return the key of how far a channel's posts go, and from where they are still there."""
    return codec.pack(("sequence", channel_id))


def author(channel_id: bytes, who: bytes) -> bytes:
    """Return the key of how much somebody has posted in a channel, and when last."""
    return codec.pack(("author", channel_id, who))


def post(channel_id: bytes, first: int) -> bytes:
    """Return the key of the post, or batch of posts, that begins with that sequence number."""
    return codec.pack(("post", channel_id, first))


def posts(channel_id: bytes) -> bytes:
    """Return what the keys of all posts of a channel begin with."""
    return codec.pack(("post", channel_id, 0))[:-1]


def anchor(conversation: bytes) -> bytes:
    """Return the key of how far a conversation's hash chain goes; the name is a public key."""
    return codec.pack(("anchor", conversation))


def weight(voter: AccountId) -> bytes:
    """Return the key of a voter's weight, with what it was before."""
    return codec.pack(("weight", voter))


def proposal(number: int) -> bytes:
    """Return the key of a proposal; the first is number 1."""
    return codec.pack(("proposal", number))


def tally(number: int) -> bytes:
    """Return the key of the ballots of a proposal, added up."""
    return codec.pack(("tally", number))


def ballot(number: int, voter: AccountId) -> bytes:
    """Return the key of what somebody voted on a proposal, or promised to reveal."""
    return codec.pack(("ballot", number, voter))


def ballots(number: int) -> bytes:
    """Return what the keys of all ballots on a proposal begin with."""
    return codec.pack(("ballot", number, b""))[:-2]


def decision(number: int) -> bytes:
    """Return the key of what a vote ordered on the currency chain; the first is number 1."""
    return codec.pack(("decision", number))


def case(number: int) -> bytes:
    """Return the key of a report and what a jury made of it; the first is number 1."""
    return codec.pack(("case", number))


def reports(who: AccountId) -> bytes:
    """Return the key of how many reports of somebody's are open."""
    return codec.pack(("reports", who))


def mark(kind: int, name: bytes, sequence: int) -> bytes:
    """Return the key of the cases in which a report of that target was upheld."""
    return codec.pack(("mark", kind, name, sequence))


def verdict(number: int, juror: AccountId) -> bytes:
    """Return the key of one juror's verdict."""
    return codec.pack(("verdict", number, juror))


def juror(who: AccountId) -> bytes:
    """Return the key of a juror's bond."""
    return codec.pack(("juror", who))


def jury_slot(level: int, at: int) -> bytes:
    """Return the key of a place in the roll of jurors, a leaf at level 0, sums above."""
    return codec.pack(("jury_slot", level, at))


def jury_place(who: AccountId) -> bytes:
    """Return the key of a juror's place in the roll."""
    return codec.pack(("jury_place", who))


def jury_change(number: int) -> bytes:
    """Return the key of a change of the roll that waits."""
    return codec.pack(("jury_change", number))


def beacon(address: bytes) -> bytes:
    """Return the key of a validator's chain of preimages, by its 20-byte address."""
    return codec.pack(("beacon", address))


def draw_waiting(place: int) -> bytes:
    """Return the key of what waits for a seed at that place of the queue."""
    return codec.pack(("draw_waiting", place))


def reputation(owner: AccountId) -> bytes:
    """Return the key of what somebody's deeds count."""
    return codec.pack(("reputation", owner))


def currency_params(section: str) -> bytes:
    """Return the key of what a section of the currency chain's parameters may be."""
    return codec.pack(("currency_params", section))
