"""Record the golden files of what has none yet: `python -m tests.goldens`."""

from __future__ import annotations

from events.catalog import event_classes
from tests.goldens.records import record_new

for made in record_new(event_classes()):
    print(made)  # noqa: T201  # a program of its own
