"""The registry client against real registries and real HTTP."""
