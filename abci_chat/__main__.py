"""Process entry of the chat chain: `python -m abci_chat --socket PATH --data-dir DIR`."""

from __future__ import annotations

from abci_chat.machine import MACHINE
from dchat.node.process import main

if __name__ == "__main__":
    main(MACHINE)
