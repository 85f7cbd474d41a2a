"""Tests of controller/providers."""
