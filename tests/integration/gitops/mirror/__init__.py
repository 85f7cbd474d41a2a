"""Mirrors of real repositories, by subject."""
