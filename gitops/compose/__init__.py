"""From Compose files in a tree to one rewritten document per host."""
