"""Authenticated key/value tree: pages, batch update, proofs of presence and absence."""
