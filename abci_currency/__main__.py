"""Process entry of the currency chain: `python -m abci_currency --socket PATH --data-dir DIR`."""

from __future__ import annotations

from abci_currency.machine import MACHINE
from dchat.node.process import main

if __name__ == "__main__":
    main(MACHINE)
