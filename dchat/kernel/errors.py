"""The whole error tree, and the frozen table of refusal codes.

A code is part of consensus (CometBFT hashes it) and of every client, so it is never changed or
given away again. 1-99 belong to the kernel, 100-199 to the currency chain, 200-299 to the chat
chain, 900-999 to queries.
"""

from __future__ import annotations

from typing import ClassVar


class DchatError(Exception):
    """Root of every error we raise on purpose."""


class TxRejected(DchatError):
    """A transaction the rules refuse; becomes an ExecTxResult with this code."""

    code: ClassVar[int]


class ProtocolError(DchatError):
    """A wire rule was broken; see the two subclasses for by whom."""


class LocalProtocolError(ProtocolError):
    """Our own code asked for a step the protocol does not allow: a bug here."""


class RemoteProtocolError(ProtocolError):
    """The peer broke the protocol: drop it and score it down."""


class OperatorError(DchatError):
    """Something the person at the keyboard can mend; carries how."""

    exit_code: ClassVar[int] = 1
    hint: str = ""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        if hint:
            self.hint = hint


class InvariantBroken(DchatError):
    """State contradicts itself: never caught, the node halts."""


class MalformedTransaction(TxRejected):
    """The bytes are not one canonical envelope and a signature."""

    code = 1


class TransactionTooLarge(TxRejected):
    """The transaction exceeds the byte bound. Attributes: size, limit -- bytes."""

    code = 2

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"{size} bytes, limit {limit}")
        self.size = size
        self.limit = limit


class UnknownKind(TxRejected):
    """The outermost array is of a kind that this version does not know."""

    code = 3


class UnknownVersion(TxRejected):
    """The envelope is of a version that this version does not know."""

    code = 4


class WrongChain(TxRejected):
    """The transaction was signed for another chain. Attributes: have, need."""

    code = 5

    def __init__(self, have: str, need: str) -> None:
        super().__init__(f"signed for chain {have!r}, this is {need!r}")
        self.have = have
        self.need = need


class BadSignature(TxRejected):
    """The signature is not the sender's over these bytes."""

    code = 6


class WeakKey(TxRejected):
    """The public key is of small order or not canonical, so anybody could sign for it."""

    code = 7


class SenderKeyMismatch(TxRejected):
    """The public key is not the one that the sender's account is bound to."""

    code = 8


class NonceMismatch(TxRejected):
    """The nonce is not the account's next one. Attributes: have, need."""

    code = 9

    def __init__(self, have: int, need: int) -> None:
        super().__init__(f"nonce {have}, the account's next is {need}")
        self.have = have
        self.need = need


class FeeTooLow(TxRejected):
    """The fee is below the price of the declared cost. Attributes: have, need -- base units."""

    code = 10

    def __init__(self, have: int, need: int) -> None:
        super().__init__(f"fee {have} base units, the least is {need}")
        self.have = have
        self.need = need


class CannotPayFee(TxRejected):
    """The account holds less than the fee. Attributes: have, need -- base units."""

    code = 11

    def __init__(self, have: int, need: int) -> None:
        super().__init__(f"holds {have} base units, the fee is {need}")
        self.have = have
        self.need = need


class Expired(TxRejected):
    """The last height the transaction was valid at is over. Attributes: last, height."""

    code = 12

    def __init__(self, last: int, height: int) -> None:
        super().__init__(f"valid until height {last}, this is {height}")
        self.last = last
        self.height = height


class ValidityTooLong(TxRejected):
    """The transaction would stay valid beyond the bound. Attributes: last, limit -- heights."""

    code = 13

    def __init__(self, last: int, limit: int) -> None:
        super().__init__(f"valid until height {last}, the furthest allowed is {limit}")
        self.last = last
        self.limit = limit


class CostLimitTooLow(TxRejected):
    """The declared cost does not cover the work. Attributes: have, need -- cost units."""

    code = 14

    def __init__(self, have: int, need: int) -> None:
        super().__init__(f"cost limit {have} units, the work costs {need}")
        self.have = have
        self.need = need


class CostLimitTooHigh(TxRejected):
    """The declared cost is more than a block holds, or work stands for. Attributes: have, limit."""

    code = 15

    def __init__(self, have: int, limit: int) -> None:
        super().__init__(f"cost limit {have} units, at most {limit} may be declared")
        self.have = have
        self.limit = limit


class UnknownTransaction(TxRejected):
    """The body is of a type that this chain does not have."""

    code = 16


class MalformedBody(TxRejected):
    """The body's fields are not those of its type."""

    code = 17


class PoolFull(TxRejected):
    """The node holds as much unconfirmed as it may. Attributes: count; size -- bytes."""

    code = 18

    def __init__(self, count: int, size: int) -> None:
        super().__init__(f"{count} transactions of {size} bytes wait already")
        self.count = count
        self.size = size


class CommitDue(TxRejected):
    """A block waits to be committed until all that came before is answered: no time for bundles."""

    code = 19


class ZeroAmount(TxRejected):
    """Moving nothing is refused so that spam always costs something."""

    code = 20


class InsufficientFunds(TxRejected):
    """The account holds less than the transaction spends. Attributes: have, need -- base units."""

    code = 21

    def __init__(self, have: int, need: int) -> None:
        super().__init__(f"holds {have} base units, needs {need}")
        self.have = have
        self.need = need


class AmountTooLarge(TxRejected):
    """A sum leaves the range of 64 bits."""

    code = 22


class ParameterOutOfBounds(TxRejected):
    """A parameter would leave its bounds. Attributes: name, have, least, most."""

    code = 23

    def __init__(self, name: str, have: int, least: int, most: int) -> None:
        super().__init__(f"{name} is {have}, allowed are {least} to {most}")
        self.name = name
        self.have = have
        self.least = least
        self.most = most


class KeyChanging(TxRejected):
    """A rotation of the account's key waits in front: which key signs is not known yet."""

    code = 24


class SameKey(TxRejected):
    """The account has that key already."""

    code = 25


class BadKeyProof(TxRejected):
    """The new key has not signed for this account, chain and key version."""

    code = 26


class NotOwed(TxRejected):
    """A block carries a contribution of its proposer that the chain has not asked for."""

    code = 27
