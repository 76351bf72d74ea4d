"""The relay's shell: peers, sockets and disk."""
