"""The soak: a daemon that runs for an hour while everything around it goes wrong, and must end in sync."""
