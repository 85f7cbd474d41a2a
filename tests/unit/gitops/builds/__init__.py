"""Images that are built from a commit."""
