"""What runs and keeps nodes: CometBFT, the supervisor, the validator and the devnet."""
