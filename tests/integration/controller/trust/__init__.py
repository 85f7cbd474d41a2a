"""A controller that trusts signed commits alone."""
