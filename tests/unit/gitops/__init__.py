"""Tests of what should be."""
