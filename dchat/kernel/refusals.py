"""Every code with which a transaction is refused: its name, and what to do next.

A code is never given another meaning: results are hashed into blocks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class Refusal:
    """How a code is called and what its reader can do next."""

    name: str
    hint: str


REFUSALS: Final[Mapping[int, Refusal]] = MappingProxyType(
    {
        1: Refusal("MalformedTransaction", "build transactions with dchat or its SDK"),
        2: Refusal("TransactionTooLarge", "split it into several transactions"),
        3: Refusal("UnknownKind", "upgrade the node, or use the envelope kind it knows"),
        4: Refusal("UnknownVersion", "upgrade the node, or sign with the version it knows"),
        5: Refusal("WrongChain", "sign for the chain id in the network file"),
        6: Refusal("BadSignature", "sign again with the key of the sender"),
        7: Refusal("WeakKey", "create a key with dchat keygen"),
        8: Refusal("SenderKeyMismatch", "use the identity file of the sender's account"),
        9: Refusal("NonceMismatch", "read the account's nonce and sign again"),
        10: Refusal("FeeTooLow", "raise the fee to the least one named"),
        11: Refusal(
            "CannotPayFee", "fund the account first, or add --work where the command takes it"
        ),
        12: Refusal("Expired", "sign again with a later valid_until_height"),
        13: Refusal("ValidityTooLong", "sign with a nearer valid_until_height"),
        14: Refusal("CostLimitTooLow", "raise cost_limit to the cost named"),
        15: Refusal("CostLimitTooHigh", "lower cost_limit to what the refusal names"),
        16: Refusal("UnknownTransaction", "check that it goes to the right chain, or upgrade"),
        17: Refusal("MalformedBody", "build transactions with dchat or its SDK"),
        18: Refusal("PoolFull", "wait for the next block and submit again"),
        19: Refusal("CommitDue", "submit the bundle again"),
        20: Refusal("ZeroAmount", "name an amount above zero"),
        21: Refusal("InsufficientFunds", "lower the amount or fund the account"),
        22: Refusal("AmountTooLarge", "lower the amount"),
        23: Refusal("ParameterOutOfBounds", "choose a value within the bounds named"),
        24: Refusal("KeyChanging", "wait for the block that changes the key, then sign with it"),
        25: Refusal("SameKey", "nothing to do: the account has that key"),
        26: Refusal("BadKeyProof", "rotate with dchat identity rotate-key"),
        27: Refusal("NotOwed", "nothing to do: only a faulty proposer adds it"),
        100: Refusal("NoOutputs", "name somebody to pay"),
        101: Refusal("NothingLocked", "use the account that genesis locked tokens for"),
        102: Refusal("NothingVested", "wait until more has vested, or take stake back"),
        103: Refusal("TooLittleLocked", "lower the amount, or delegate from the balance"),
        110: Refusal("UnknownValidator", "name an operator; see dchat query validators"),
        111: Refusal("AlreadyValidator", "edit the validator that the account has"),
        112: Refusal("ConsensusKeyTaken", "create a fresh consensus key"),
        113: Refusal("WeakConsensusKey", "create the consensus key with dchat keygen"),
        114: Refusal(
            "BadPossessionProof", "sign chain id and operator's account with the consensus key"
        ),
        115: Refusal("BadCommission", "stay within the maximum, and the change that was declared"),
        116: Refusal("CommissionTooSoon", "wait until the time named"),
        117: Refusal("BadMoniker", "use 1 to 64 bytes of text without control characters"),
        118: Refusal("ValidatorStakeTooLow", "stake at least what dchat query params says"),
        119: Refusal(
            "BadMinSelfDelegation", "promise what the operator has staked, and no less than before"
        ),
        120: Refusal("InsufficientStake", "take less; see dchat query delegations"),
        121: Refusal("TooManyEntries", "wait until the soonest ends; see dchat query unbondings"),
        122: Refusal("StillLiable", "wait until the redelegation has ended, or undelegate"),
        123: Refusal("SameValidator", "name another validator as the target"),
        124: Refusal("ValidatorTombstoned", "choose a validator that may vote again"),
        125: Refusal("WorthlessShares", "choose another validator"),
        126: Refusal("RotationTooSoon", "wait until the time named"),
        127: Refusal("RotationFeeTooLow", "allow at least the fee named to be burned"),
        128: Refusal("UnbondingNotDue", "wait until it is due; see dchat query unbondings"),
        130: Refusal("NotJailed", "nothing to do: the validator may vote"),
        131: Refusal("StillJailed", "wait until the time named and send it again"),
        132: Refusal("NeverUnjailed", "take the stake back; a new validator needs a new operator"),
        133: Refusal("OwnStakeTooLow", "delegate to it from the operator's account first"),
        134: Refusal("StakeTooLow", "delegate to it first"),
        140: Refusal("HeldByRules", "name an account that somebody holds, or the treasury"),
        141: Refusal("NothingToWithdraw", "see dchat query rewards for where something is due"),
        150: Refusal(
            "BadRelayAddress",
            "name one to eight addresses such as /ip4/203.0.113.7/tcp/7070, each once",
        ),
        151: Refusal("WeakPeerKey", "create the relay's identity with dchat keygen"),
        152: Refusal(
            "BadPeerProof", "sign with the relay's identity, for the account that sends it"
        ),
        153: Refusal(
            "PeerProofExpired",
            "sign the relay's proof again, good for no longer than a transaction",
        ),
        154: Refusal(
            "RelayTaken", "settle the relay once it has left, or create another relay identity"
        ),
        155: Refusal("UnknownRelay", "check the peer id; see dchat query relays"),
        156: Refusal("NotRelayOwner", "use the identity file of the relay's owner"),
        157: Refusal("RelayStakeTooLow", "stake at least what dchat query params says"),
        158: Refusal("RelayLeaving", "wait until it has left and settle it, then register again"),
        159: Refusal("NothingDue", "close or unbond it first, then wait until the time named"),
        160: Refusal("RelayNotServing", "choose a relay that serves; see dchat query relays"),
        161: Refusal("WeakChequeKey", "create a fresh key for cheques"),
        162: Refusal("EscrowTooSmall", "set aside at least what dchat query params says"),
        163: Refusal("UnknownEscrow", "check the number; an escrow is named by who opened it"),
        164: Refusal("EscrowClosing", "open a new escrow"),
        165: Refusal("IssuerBondExists", "top it up, or settle it once it has closed"),
        166: Refusal("UnknownIssuerBond", "open an issuer's bond first"),
        167: Refusal(
            "IssuerBondClosing", "wait until it has closed and settle it, then open another"
        ),
        168: Refusal("EpochOutOfRange", "name the present epoch or one of the next two"),
        169: Refusal("BadDenomination", "name an exponent from 0 to 12"),
        170: Refusal(
            "TokenKeyPublished", "use the key that was published, or wait for the next epoch"
        ),
        171: Refusal(
            "TooManyTokenKeys", "wait until tokens of older keys can be claimed no longer"
        ),
        200: Refusal("BadHandle", "use 3 to 32 of a-z, 0-9 and _"),
        201: Refusal("HandleTaken", "choose another handle"),
        202: Refusal("AlreadyRegistered", "update the identity instead"),
        203: Refusal("NotRegistered", "register first: `dchat user` does it, the first time"),
        204: Refusal("BadHomeRelays", "name one to three different relay addresses"),
        205: Refusal("WeakInboxKey", "create an inbox key with dchat keygen"),
        206: Refusal("Deactivated", "use another identity: this one is gone for good"),
        207: Refusal("HandleReserved", "choose another handle"),
        208: Refusal("HandleNotCommitted", "commit to it, wait for a block, and reveal it then"),
        209: Refusal("CommitmentExpired", "commit to the handle again"),
        210: Refusal("HandleResting", "choose another handle, or wait until the time named"),
        211: Refusal("HasHandle", "give up the handle that is there first"),
        212: Refusal("NoHandle", "claim a handle first"),
        213: Refusal("BadConsent", "have the receiver run dchat identity accept-handle again"),
        214: Refusal("ConsentExpired", "have the receiver run dchat identity accept-handle again"),
        215: Refusal("NoWork", "pay the fee, or register with dchat, which works for it"),
        216: Refusal("UnknownAnchor", "work again, with the newest anchor of the chain"),
        217: Refusal("TooLittleWork", "work again, for as many hashes as are named"),
        230: Refusal("UnknownDevice", "see dchat query key-log for the devices that are left"),
        231: Refusal(
            "DeviceKnown", "make a fresh device key: one that was revoked never comes back"
        ),
        232: Refusal("TooManyDevices", "revoke a device first"),
        233: Refusal("BadDeviceProof", "let the device sign again, for this account and chain"),
        234: Refusal(
            "BadGuardians", "name 1 to 15 other accounts, each once, and how many it takes"
        ),
        235: Refusal("NoChangePending", "nothing to do: see dchat identity guardians"),
        236: Refusal("NotGuardian", "check whom you guard, and whether the change is in force yet"),
        237: Refusal(
            "BadRecoveryProof", "have the owner make a new request: dchat identity request-recovery"
        ),
        238: Refusal("AlreadyApproved", "nothing to do: wait for the others, or for the timelock"),
        239: Refusal("RecoveryNotReady", "wait for the approvals and the time named"),
        240: Refusal(
            "RecoveryVetoed", "ask the owner; to approve all the same, wait for the next block"
        ),
        241: Refusal("OtherInboxKey", "have the owner make one new request for all guardians"),
        242: Refusal("NoGuardians", "nothing to do: nobody can recover this identity"),
        243: Refusal("GuardiansOwnKey", "approve the owner's request, not a key of your own"),
        250: Refusal(
            "UnknownChannel",
            "check the id: it is 64 hexadecimal digits, as dchat channel create prints it",
        ),
        251: Refusal("ChannelClosed", "nothing to do: a channel that was closed never opens again"),
        252: Refusal("NotAMember", "join first; in a private channel, prove it with --roster"),
        253: Refusal("RoleTooLow", "ask a moderator or the owner; see dchat query members"),
        254: Refusal(
            "BadPolicy", "stay within the bounds, and within what this kind of channel can keep"
        ),
        255: Refusal(
            "BadGate",
            "name what a gated channel asks for, above zero, and nothing for another kind",
        ),
        256: Refusal("AlreadyMember", "nothing to do: see dchat query members"),
        257: Refusal("Banned", "wait until the time named, or have a moderator lift the ban"),
        258: Refusal("NotInvited", "have a moderator of the channel invite the account"),
        259: Refusal(
            "NeedsRequest", "ask with dchat channel request, or have a moderator invite the account"
        ),
        260: Refusal(
            "GateNotProvable", "wait for the bridge between the chains; nobody can join until then"
        ),
        261: Refusal(
            "MembersHidden",
            "take hidden members in and out with dchat channel epoch and remove --roster",
        ),
        262: Refusal("NoSuchRequest", "have the account ask with dchat channel request"),
        263: Refusal("NotBanned", "nothing to do: the account may join as anybody"),
        264: Refusal(
            "OwnerStays", "offer the channel to somebody with dchat channel offer, or close it"
        ),
        265: Refusal("UnknownMember", "check the account; see dchat query members"),
        266: Refusal("BadHiddenProof", "prove it again with the roster of the present epoch"),
        267: Refusal("RemovedLeaf", "ask who moderates the channel: the account was removed"),
        268: Refusal(
            "EpochMoved", "rebase: take over the present epoch, and commit again on top of it"
        ),
        269: Refusal("EpochReserved", "wait until the owner commits the next epoch"),
        270: Refusal("BadEpoch", "make it with dchat channel epoch, from the newest roster"),
        271: Refusal("TooManyBumps", "wait until the time named"),
        272: Refusal("NotOffered", "have the owner offer the channel to the account"),
        273: Refusal(
            "NotSuccessor", "use the account that the owner named; see dchat query channel"
        ),
        274: Refusal("OwnerStillActs", "wait until the time named: the owner may act until then"),
        275: Refusal("MembersListed", "remove a listed member with dchat channel remove --member"),
        276: Refusal(
            "BadRole", "name member or moderator; offer the channel to make another owner"
        ),
        277: Refusal("BadHeir", "name another account, or none"),
        278: Refusal("BanOver", "name a later time, or none for a ban for good"),
        279: Refusal("DepositTooLow", "allow at least the deposit named"),
        280: Refusal("NoRequestNeeded", "join with dchat channel join"),
        281: Refusal("AlreadyRemoved", "nothing to do: commit the next epoch without the member"),
        285: Refusal("BadBatch", "send 1 to 64 parts, with 1 to 1024 posts together"),
        286: Refusal("WrongPostEpoch", "sign for the present epoch; see dchat query channel"),
        287: Refusal("PostingKeyStale", "wait until a member commits the next epoch"),
        288: Refusal("CounterMismatch", "leave out what was posted, and sign the rest again"),
        289: Refusal("BadPostSignature", "sign for this chain, channel, epoch and counter"),
        290: Refusal("DeviceNotAuthorised", "sign with a device that the author has added"),
        291: Refusal("SlowModeOn", "wait until the time named, and post one at a time"),
        292: Refusal("AuthorNamed", "send a batch that the epoch's posting key has signed"),
        293: Refusal("AuthorMissing", "name the author and the device that signed"),
        294: Refusal("NotTheOldest", "name the oldest records; see dchat query posts"),
        295: Refusal("NotExpired", "wait until the time named"),
        296: Refusal("KeptForEver", "nothing to do: the channel's posts stay"),
        297: Refusal("OddBatchSize", "fill it up to 1, 4, 16, 64, 256 or 1024 posts"),
        298: Refusal("AnchorNotNewer", "anchor a later message; see dchat query anchor"),
        299: Refusal("BadAnchorSignature", "sign with the conversation's key for this chain"),
        300: Refusal(
            "BadProposal", "use a title of 1 to 140 bytes, and text without control characters"
        ),
        301: Refusal("ProposalDepositTooLow", "allow at least the deposit named"),
        302: Refusal("NobodyVotes", "wait for the bridge to bring weights"),
        303: Refusal("UnknownParameter", "see dchat query params for sections and names"),
        304: Refusal(
            "BadUpgradePlan", "name both heights and a binary for each platform, or cancel without"
        ),
        305: Refusal("UpgradeTooSoon", "name a height that is at least as far ahead as named"),
        306: Refusal("UnknownUpgrade", "see dchat query upgrade for the plan that is ahead"),
        307: Refusal("BadChanges", "name each number once"),
        308: Refusal("UnknownProposal", "check the number; see dchat query proposals"),
        309: Refusal("VotingOver", "vote on a proposal that is open; see dchat query proposals"),
        310: Refusal("NoWeight", "use the account that had weight then; see dchat query weights"),
        311: Refusal("BallotIsOpen", "vote openly again"),
        312: Refusal("BallotBondTooLow", "allow at least the bond named"),
        313: Refusal("NotRevealing", "reveal between the times named"),
        314: Refusal("NothingHidden", "nothing to do: see dchat query ballots"),
        315: Refusal("BadReveal", "reveal with the file that dchat gov vote --private has kept"),
        330: Refusal("JurorBondTooSmall", "bond at least what dchat query params says"),
        331: Refusal("NotJuror", "join first: dchat moderation join"),
        332: Refusal("JurorLeaving", "wait until the bond has returned, then join again"),
        333: Refusal("UnknownTarget", "check the id or spelling; a post is named with its proof"),
        334: Refusal("TooManyReports", "wait for verdicts; see dchat query cases"),
        335: Refusal("AlreadyMarked", "nothing to do: see the case named"),
        336: Refusal("UnknownCase", "check the number; see dchat query cases"),
        337: Refusal("NotOnJury", "nothing to do: others were drawn for this case"),
        338: Refusal("VerdictGiven", "nothing to do: the first verdict counts"),
        339: Refusal("NotJudging", "see dchat query case for how far it is"),
        340: Refusal("NotAppealable", "see dchat query case for until when it can be appealed"),
        341: Refusal("BondTooLow", "allow at least the bond that dchat query params says"),
        342: Refusal("OwnTarget", "nothing to do: delete or leave what is your own"),
        350: Refusal("NoValidator", "use the 20-byte consensus address of a chat validator"),
        351: Refusal("NotOperator", "use the identity file of the validator's operator"),
        352: Refusal("WrongChainNumber", "make the chain of the number named"),
        353: Refusal("BadChainLength", "bind a chain of 1 to 4096 preimages"),
    }
)
