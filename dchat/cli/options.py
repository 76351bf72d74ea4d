"""Options that several commands take: a command names its own, the common ones stand behind."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar, cast

P = ParamSpec("P")
G = TypeVar("G")


def with_options(
    gather: Callable[..., G],
) -> Callable[[Callable[Concatenate[G, P], None]], Callable[..., None]]:
    """Return what puts gather's options behind a command's own, in place of its first parameter.

    gather: makes that parameter of its options.
    """
    common = list(inspect.signature(gather, eval_str=True).parameters.values())

    def adorn(command: Callable[Concatenate[G, P], None]) -> Callable[..., None]:
        own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
        call = cast("Callable[..., None]", command)

        def run(**given: object) -> None:
            options = {option.name: given.pop(option.name) for option in common}
            call(gather(**options), **given)

        run.__name__, run.__doc__ = command.__name__, command.__doc__
        run.__signature__ = inspect.Signature([*own, *common])
        return run

    return adorn
