"""Tests of gitops/source."""
