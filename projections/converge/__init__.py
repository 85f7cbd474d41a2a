"""Convergers: observe the engine, plan (pure), apply, record."""
