"""Notices: what they say, and that nothing they do can fail or delay anybody."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from controller.notify import Notice, Notifier
from events.kernel.redact import REDACT
from gitops.config.controller import NotifySection
from tests.support.processes import free_port
from tests.support.time import START

_NOTICE = Notice(
    event="failed", environment="shop/prod", release="rel-1", status="failed", message="it broke", time=START
)


def _send(notifier: Notifier, count: int = 1) -> None:
    async def story() -> None:
        task = asyncio.create_task(notifier.run())
        for _ in range(count):
            notifier.tell(_NOTICE)
        await notifier.flush(seconds=10)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(story())


def _command(script: str, *arguments: str, deadline: str = "10s") -> NotifySection:
    written = {"command": [sys.executable, "-c", script, *arguments], "deadline": deadline}
    return NotifySection.model_validate(written)


def test_a_command_gets_the_notice_on_standard_input(tmp_path: Path) -> None:
    said: list[str] = []
    target = tmp_path / "told"
    script = "import sys; open(sys.argv[1], 'w').write(sys.stdin.read())"
    _send(Notifier(settings=_command(script, str(target)), say=said.append))
    assert json.loads(target.read_text()) == {
        "event": "failed",
        "environment": "shop/prod",
        "release": "rel-1",
        "status": "failed",
        "message": "it broke",
        "time": "2026-01-02T03:04:05.000Z",
    }
    assert said == []


def test_a_failing_command_is_reported_once() -> None:
    said: list[str] = []
    _send(Notifier(settings=_command("raise SystemExit(3)"), say=said.append), count=3)
    (line,) = said
    assert "ended with 3" in line


def test_a_command_that_hangs_is_ended_at_its_deadline() -> None:
    said: list[str] = []
    _send(Notifier(settings=_command("import time; time.sleep(60)", deadline="300ms"), say=said.append))
    (line,) = said
    assert "stopped after" in line


def test_a_command_that_does_not_exist_is_reported() -> None:
    said: list[str] = []
    _send(Notifier(settings=NotifySection(command=["/nowhere/at-all"]), say=said.append))
    assert len(said) == 1


def test_a_webhook_that_does_not_answer_is_reported_without_its_address() -> None:
    said: list[str] = []
    url = f"http://127.0.0.1:{free_port()}/secret-path"
    _send(Notifier(settings=NotifySection(webhook=url), say=said.append), count=2)
    (line,) = said
    assert "127.0.0.1" in line
    assert "secret-path" not in line


def test_too_many_notices_are_dropped_and_nobody_waits() -> None:
    said: list[str] = []
    notifier = Notifier(settings=NotifySection(webhook="http://127.0.0.1:9/"), say=said.append)

    async def story() -> None:
        for _ in range(500):
            notifier.tell(_NOTICE)
        await notifier.flush(seconds=0.01)

    asyncio.run(story())
    assert len(said) == 1
    assert "dropped" in said[0]


def test_without_anybody_to_tell_nothing_is_queued() -> None:
    said: list[str] = []
    notifier = Notifier(settings=NotifySection(), say=said.append)

    async def story() -> None:
        notifier.tell(_NOTICE)
        await notifier.flush(seconds=0.01)

    asyncio.run(story())
    assert said == []


def test_a_secret_does_not_leave_with_a_message() -> None:
    REDACT.learn("hunter2-and-more")
    told = Notice(
        event="failed",
        environment="shop/prod",
        release=None,
        status="failed",
        message="bad password hunter2-and-more\x1b[2J",
        time=START,
    ).as_json()
    assert b"hunter2" not in told
    assert b"\\u001b" not in told
