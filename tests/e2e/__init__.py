"""Whole stories through the installed command, in the order a person would live them."""
