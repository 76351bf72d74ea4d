"""`dchat tx`, rewards: having them paid, and saying to whom."""

from __future__ import annotations

from typing import Annotated

import typer

from abci_currency.state import rewards as state
from abci_currency.txs import rewards
from abci_currency.txs.rewards import SetRewardAddress, WithdrawCommission, WithdrawRewards
from dchat.cli.asking import Fields, Source
from dchat.cli.foresee import foresee
from dchat.cli.ordering import Sending, Told, carry_out, ordering
from dchat.cli.query_rewards import reward_fields
from dchat.kernel import accounts
from dchat.kernel.ids import AccountId


def register(group: typer.Typer) -> None:
    """Add the commands to the group `tx`."""
    group.command("withdraw-rewards")(withdraw_rewards)
    group.command("withdraw-commission")(withdraw_commission)
    group.command("set-reward-address")(set_reward_address)


@ordering
def withdraw_rewards(
    sending: Sending,
    *,
    operators: Annotated[
        list[str],
        typer.Option("--validator", help="Operator whose validator earned them; up to 16 times."),
    ],
) -> None:
    """Have your stake's rewards with these validators paid, to you or to your reward address."""
    named = tuple([accounts.parse_account(each) for each in operators])
    done: Fields = {"validators": [accounts.show_account(each) for each in named]}

    async def after(source: Source, sender: AccountId) -> Fields:
        return await reward_fields(source, sender, named)

    carry_out(sending, rewards.REWARDS, WithdrawRewards(named), Told(done, after))


@ordering
def withdraw_commission(sending: Sending) -> None:
    """Have what you earned as a validator's operator paid, to you or to your reward address."""

    async def after(source: Source, sender: AccountId) -> Fields:
        return await reward_fields(source, sender, ())

    carry_out(sending, rewards.COMMISSION, WithdrawCommission(), Told({}, after))


@ordering
def set_reward_address(
    sending: Sending,
    *,
    to: Annotated[str, typer.Option(help="Who gets your rewards; yourself to end it. dchat1….")],
) -> None:
    """Have your rewards and commission paid to another account from now on."""
    body = SetRewardAddress(accounts.parse_account(to))

    async def after(source: Source, sender: AccountId) -> Fields:
        paid_to = await foresee(source, lambda draft: state.paid_to(draft, sender))
        return {"paid_to": accounts.show_account(paid_to)}

    carry_out(sending, rewards.ADDRESS, body, Told({"to": to}, after))
