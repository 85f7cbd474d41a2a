"""What follows the log: views for readers, convergers for hosts and containers."""
