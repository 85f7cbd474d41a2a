"""Convergers against a real engine and the real Compose client."""
