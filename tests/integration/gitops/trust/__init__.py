"""Which commits are trusted."""
