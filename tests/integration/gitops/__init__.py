"""Tests of gitops with real repositories and the real Compose client."""
