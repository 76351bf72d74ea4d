from __future__ import annotations

from dchat.node.address import Address
from dchat.operator import chains


def test_one_id_names_both_chains() -> None:
    currency, chat = chains.both("dchat-mainnet-1")

    assert (currency.chain_id, currency.module) == ("dchat-mainnet-1-currency", "abci_currency")
    assert (chat.chain_id, chat.module) == ("dchat-mainnet-1", "abci_chat")


def test_the_currency_chains_ports_are_ten_higher() -> None:
    currency, chat = chains.both("x")

    assert currency.port(Address("a", 26_656)) == Address("a", 26_666)
    assert chat.port(Address("a", 26_656)) == Address("a", 26_656)


def test_a_port_left_to_the_system_stays_so() -> None:
    assert chains.both("x")[0].port(Address("a", 0)) == Address("a", 0)
