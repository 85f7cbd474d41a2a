"""What survives: controllers that are killed, engines that fail, people who meddle."""
