"""The port to a container engine and its adapters."""
