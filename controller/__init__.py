"""What keeps it going: decisions, the look at Git, locks, and the wiring of everything."""
