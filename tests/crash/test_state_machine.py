"""The whole controller against random months: see `months.py` for what must hold."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from typing_extensions import override

from events.log import EventLog
from events.sqlite import SqliteEventLog
from tests.crash.months import STEPS
from tests.crash.months_of_mishaps import Months

MANY_STEPS, PARTS = 10_000, 10  # in parts, so that each ends long before a test counts as hanging


class MonthsOnDisk(Months):
    """The same with a log in SQLite, opened anew by each controller."""

    kind = "sqlite"

    @override
    def reopen(self, log: EventLog | None) -> EventLog:
        if log is not None:
            log.close()
        return SqliteEventLog(self.folder / "events.db")


def run_machine(machine: type[Months], *, examples: int, steps: int) -> int:
    """Answers how many steps were taken."""
    before = STEPS[machine.kind]
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
    return STEPS[machine.kind] - before


def test_a_few_months_on_a_log_in_memory() -> None:
    assert run_machine(Months, examples=10, steps=40) > 0


def test_a_month_on_a_log_on_disk() -> None:
    assert run_machine(MonthsOnDisk, examples=2, steps=30) > 0


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_years(part: int, capsys: pytest.CaptureFixture[str]) -> None:
    """New examples in each run with the profile `search`; a failure prints how to play it again."""
    taken = 0
    while taken < MANY_STEPS / PARTS:
        taken += run_machine(Months, examples=20, steps=60)
    on_disk = run_machine(MonthsOnDisk, examples=2, steps=50)
    with capsys.disabled():
        print(f"\npart {part + 1} of {PARTS}: {taken} steps on a log in memory, {on_disk} on one on disk")  # noqa: T201
