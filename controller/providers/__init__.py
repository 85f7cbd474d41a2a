"""Providers: who builds, runs, connects and makes what the product itself does not."""
