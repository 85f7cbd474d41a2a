"""Tests of gitops/compose."""
