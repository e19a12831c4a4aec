"""The mathematics: pure functions over arrays."""
