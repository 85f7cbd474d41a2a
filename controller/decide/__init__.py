"""Decisions: pure functions from folded state and an input to events. No clock, no file, no engine."""
