"""Parameters of public reference implementations, renamed for the networks here: one file a network."""
