"""Hands: one thin module per command group; `console.py` is the only place that prints."""
