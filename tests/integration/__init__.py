"""Tests against a real engine, registry, sshd or Git."""
