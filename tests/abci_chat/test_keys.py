from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from abci_chat import keys
from dchat.kernel import codec
from dchat.kernel.ids import AccountId

ids = st.binary(min_size=32, max_size=32).map(AccountId)
names = st.text(max_size=32)


@given(ids)
def test_a_key_is_the_canonical_tuple_of_its_parts(owner: AccountId) -> None:
    assert codec.unpack(keys.identity(owner)) == ["identity", owner]
    assert codec.unpack(keys.account(owner)) == ["account", owner]


@given(ids, names)
def test_no_key_is_a_prefix_of_another(owner: AccountId, name: str) -> None:
    some = [keys.identity(owner), keys.account(owner), keys.handle(name), keys.handle(name + "x")]

    assert not [(a, b) for a in some for b in some if a != b and b.startswith(a)]
