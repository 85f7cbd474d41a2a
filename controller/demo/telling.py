"""Which lines of the controller are worth a newcomer's time, without what is the same in each of them.

The controller tells an operator everything. On the demo's screen there is one environment and one host, the
time is the screen's, and a step is told when it is done rather than when it is planned too. Everything stands
in the controller's own output, which a kept demo leaves in its folder; `--verbose` shows it all.
"""

from __future__ import annotations

import re

_TIME = re.compile(r"^\d{4}-\d{2}-\d{2}T[\d:.]+Z ")
_ELSEWHERE_TOLD = ("fetching ", "rendering ", "waiting for another process", "finalize ", "watching ")
_VERDICT = re.compile(r"rel-[\d-]+, ")  # of a failure; `releases show` tells all of it
_PLANNED = re.compile(r"(create|replace|remove|run the job|start|restart|stop)\b")


def told(line: str, *, environment: str) -> str | None:
    """A line of the controller as the demo shows it, None for one that it leaves out."""
    text = _TIME.sub("", line).strip()
    text = text.removeprefix(f"{environment}: ")
    if text.startswith(f"{environment} "):
        host, _, step = text.removeprefix(f"{environment} ").partition(": ")
        _, _, service = host.partition(" ")
        if not service and _PLANNED.match(step):
            return None
        text = f"{service}: {step}" if service else step
    elsewhere = text.startswith(_ELSEWHERE_TOLD) or _VERDICT.match(text)
    return None if not text or elsewhere else text
