"""Convergers against the simulated engine, on a clock that their own waits move."""
