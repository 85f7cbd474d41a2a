"""Tests of gitops/config."""
