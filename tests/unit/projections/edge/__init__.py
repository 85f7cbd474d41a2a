"""Gateways: what they are told, and what became of requests."""
