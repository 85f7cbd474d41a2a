"""How a host is reached: its files, its programs and its engine, on this machine or over SSH."""
