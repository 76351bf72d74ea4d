"""Records of the chat chain and their arithmetic, one module for each kind."""
