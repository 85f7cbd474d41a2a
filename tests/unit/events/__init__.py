"""Tests of what happened: the log, its events, the Manifest record."""
