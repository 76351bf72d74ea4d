"""The pure half of the client: what a message means and what happens to it next."""
