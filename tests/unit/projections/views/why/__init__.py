"""Tests of the answers to `why`."""
