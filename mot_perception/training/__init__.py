"""Training, offline: stores of depth × mask maps, pairs of them, and the loops over both."""
