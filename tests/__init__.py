"""Tests, by what they need.

unit/         nothing but Python; mirrors the rooms
contract/     one suite per port, run by every adapter of it
integration/  a real engine, sshd, registry or Git
e2e/          whole stories through the installed command
support/      what the tests share
lab/          shell helpers of the Makefile
"""
