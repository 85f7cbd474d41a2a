"""Gateways: what passes requests on to containers, how it is told, and what it says."""
