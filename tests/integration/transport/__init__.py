"""Hosts behind a real SSH server."""
