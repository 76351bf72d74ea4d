"""Pruning and compaction after every few blocks, so that a short test meets them."""

from __future__ import annotations

from dchat.node.stores import pruner

FEW = {"STRIDE": 1, "BATCH_KEYS": 2, "COMPACT_KEYS": 4}


def prune_eagerly() -> None:
    """Tidy up in this process at once and in small steps."""
    for name, number in FEW.items():
        assert hasattr(pruner, name)
        setattr(pruner, name, number)
