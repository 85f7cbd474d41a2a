"""What happened: the append-only log, its events, and the Manifest record.

Nothing of ours is imported here. `kernel/` needs only the standard library.
"""
