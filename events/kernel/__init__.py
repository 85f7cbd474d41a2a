"""The ground floor: errors, clock, ids, redaction, processes. Standard library only."""
