"""What the chat chain begins with: credits, parameters, votes, validators.

[kernel genesis,
 [identities, work, channels, governance, moderation, reputation],   each section's values
 [[account, weight], …],                                             voters
 [[consensus_key, operator, beacon_head, beacon_length], …],         validators
 [[section, [[name, least, most], …]], …]]                           the currency chain's parameters

Voters, validators and sections are strictly ascending. The validators are those of CometBFT's part
of the genesis file, until the bridge mirrors the currency chain's.
"""
