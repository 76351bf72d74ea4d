"""Ordered key/value stores behind one protocol, and what is built on any of them."""
