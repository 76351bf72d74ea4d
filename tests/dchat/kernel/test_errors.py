from __future__ import annotations

import pytest

from dchat.kernel import errors
from dchat.kernel.errors import (
    CannotPayFee,
    CostLimitTooHigh,
    CostLimitTooLow,
    DchatError,
    Expired,
    FeeTooLow,
    InsufficientFunds,
    NonceMismatch,
    OperatorError,
    TransactionTooLarge,
    TxRejected,
    ValidityTooLong,
    WrongChain,
)


@pytest.mark.parametrize(
    ("refusal", "numbers", "said"),
    [
        (TransactionTooLarge(9, 8), {"size": 9, "limit": 8}, "9 bytes, limit 8"),
        (WrongChain("a", "b"), {"have": "a", "need": "b"}, "signed for chain 'a', this is 'b'"),
        (NonceMismatch(1, 2), {"have": 1, "need": 2}, "nonce 1, the account's next is 2"),
        (FeeTooLow(1, 2), {"have": 1, "need": 2}, "fee 1 base units, the least is 2"),
        (CannotPayFee(1, 2), {"have": 1, "need": 2}, "holds 1 base units, the fee is 2"),
        (Expired(5, 6), {"last": 5, "height": 6}, "valid until height 5, this is 6"),
        (
            ValidityTooLong(9, 8),
            {"last": 9, "limit": 8},
            "valid until height 9, the furthest allowed is 8",
        ),
        (CostLimitTooLow(1, 2), {"have": 1, "need": 2}, "cost limit 1 units, the work costs 2"),
        (
            CostLimitTooHigh(3, 2),
            {"have": 3, "limit": 2},
            "cost limit 3 units, at most 2 may be declared",
        ),
        (InsufficientFunds(1, 2), {"have": 1, "need": 2}, "holds 1 base units, needs 2"),
    ],
)
def test_a_refusal_carries_its_numbers(
    refusal: TxRejected, numbers: dict[str, object], said: str
) -> None:
    assert vars(refusal) == numbers
    assert str(refusal) == said


def test_an_operator_error_has_its_class_s_hint_unless_given_one() -> None:
    assert OperatorError("off").hint == ""
    assert OperatorError("off", "plug it in").hint == "plug it in"


def test_every_error_of_the_module_hangs_on_the_one_tree() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    raised = [kind for kind in kinds if issubclass(kind, BaseException)]

    assert raised
    assert all(issubclass(kind, DchatError) for kind in raised)
