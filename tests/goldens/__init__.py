"""What each event looks like in each schema that ever was, kept for ever: `make goldens` records new ones.

A file `events/<type>.<schema>.json` has the digest of the class's JSON Schema at the time, and examples of
stored data: the least that a reader may find, and all fields. Nobody changes a file that is there. A class
whose schema has another digest needs a new number and a step, and then a file of its own.
"""
