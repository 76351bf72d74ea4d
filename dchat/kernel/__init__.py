"""The pure rules that both chains, the relay and the clients share."""
