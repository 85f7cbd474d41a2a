"""The demo's acts: what a team does on a day, each proved by the URL's answer and by the log."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from controller.demo.shop import ENVIRONMENT, MISTAKE

if TYPE_CHECKING:
    from controller.demo.stage import Stage
    from events.envelope import StoredEvent

_SHORT = 12  # digits of a container


def play(stage: Stage) -> None:
    """All acts, in order. Raises InternalError `demo-expectation-failed` at the first that is not as told."""
    for number, (title, act) in enumerate(ACTS.items(), start=1):
        stage.screen.act(f"{number}. {title}")
        act(stage)


def first_deploy(stage: Stage) -> None:
    """A controller that is started on a repository makes what it says run."""
    stage.screen.note("The app: web, a worker, a job that web waits for, and Traefik in front.")
    stage.screen.note("The team pushes its Compose file and starts a controller on the repository.")
    _push(stage, "v1", message="Shop v1")
    stage.start_controller()
    release = _completed(stage, after=0)
    stage.recorded("migrate ran", "JobCompleted", after=0, release=release)
    stage.answers("shop v1")
    stage.screen.proved("everything is up, and migrate ran once before web")


def merge(stage: Stage) -> None:
    """A new version of one service replaces that service alone."""
    stage.screen.note("Somebody merges a new image of web. Customers go on clicking meanwhile:")
    stage.screen.note("Stagecraft itself asks 20 times a second, through Traefik, and counts what is lost.")
    after = stage.head()
    _push(stage, "v2", message="Shop v2")
    release = _completed(stage, after)
    stage.answers("shop v2")
    stage.stagecraft("releases", "show", release, only="Traffic")
    _nothing_was_lost(stage, after)
    replaced = sorted({one["service"] for one in stage.events(after=after, type_name="ServiceReplaced")})
    stage.expect("only web is replaced", replaced == ["web"], replaced)
    stage.screen.proved("web alone was replaced, beside the old one, and no request was lost")


def _nothing_was_lost(stage: Stage, after: int) -> None:
    """By the proof that the Release has of itself."""
    traffic: dict[str, Any] | None = stage.events(after=after, type_name="ReleaseCompleted")[0]["traffic"]
    kept = traffic is not None and traffic["requests"] > 0 and not traffic["failed"] and not traffic["cut"]
    stage.expect("requests went on and none was lost", kept, traffic)


def broken_merge(stage: Stage) -> None:
    """A version that does not come up is taken back, with its reason."""
    stage.screen.note(f"Somebody merges v3, with a typo in the port: {MISTAKE}")
    after = stage.head()
    _push(stage, "v3", mistake=True, message="Shop v3, on another port")
    ended = stage.recorded("v3 is taken back", "ReleaseRolledBack", after=after)
    stage.answers("shop v2")
    stage.stagecraft("releases", "show", ended["release"], from_line="Failure")
    tail = ended["failure"]["log_tail"]
    stage.expect("the container's last lines are on record", any("80800" in line for line in tail), tail)
    stage.screen.proved("v2 runs again; a hold keeps v3 out until it is fixed")


def revert_of_the_broken_merge(stage: Stage) -> None:
    """Git comes back to what runs: the hold ends, and nothing is restarted."""
    stage.screen.note("The team takes the merge back. Git then says what runs already.")
    after = stage.head()
    stage.git("revert", "--no-edit", "HEAD")
    stage.git("push")
    stage.recorded("the hold is over", "HoldCleared", after=after, reason="reverted")
    stage.answers("shop v2")
    touched = stage.events(after=after, type_name="ServiceReplaced")
    stage.expect("nothing is restarted", not touched, touched)
    stage.screen.proved("the hold is over and no container was touched")


def revert_of_a_good_merge(stage: Stage) -> None:
    """A revert of a good merge brings the recorded Manifest back."""
    stage.screen.note("Customers miss v1. A revert of the v2 merge brings back what ran then.")
    after = stage.head()
    stage.git("revert", "--no-edit", "HEAD~2")
    stage.git("push")
    stage.recorded("the revert is seen", "RevertDetected", after=after)
    _completed(stage, after)
    stage.answers("shop v1")
    rendered = stage.events(after=after, type_name="ManifestRendered")
    stage.expect("nothing is rendered anew", not rendered, rendered)
    stage.screen.proved("what ran as v1 runs again, without a render or a registry")


def rollback(stage: Stage) -> None:
    """One command goes back at once and holds."""
    stage.screen.note("That was wrong, and there is no time for a review. One command goes back.")
    after = stage.head()
    reason = "orders fail on v1"
    stage.stagecraft("rollback", "--env", ENVIRONMENT, "--to-previous", "--reason", reason)
    stage.recorded("the rollback is on record", "RollbackRequested", after=after, reason=reason)
    _completed(stage, after)
    stage.answers("shop v2")
    stage.recorded("the environment is held", "EnvironmentHeld", after=after)
    stage.screen.proved("v2 runs; a hold keeps Git from bringing v1 back")


def what_the_log_says(stage: Stage) -> None:
    """History, status, and why one container exists."""
    stage.stagecraft("releases", "list", "--env", ENVIRONMENT)
    stage.stagecraft("status", "--env", ENVIRONMENT)
    events = stage.stored()
    container = _newest_container(events, "web")
    stage.expect("the log names web's container", bool(container), "no event does")
    stage.stagecraft(
        "events", "list", "--type", "ServiceReplaced", "--after", str(_made(events, container) - 1)
    )
    stage.stagecraft("why", container[:_SHORT])
    stage.screen.proved("from the container back to the command, and to the commit that it runs")


ACTS: dict[str, Callable[[Stage], None]] = {
    "The first deploy": first_deploy,
    "A merge: shop v2": merge,
    "A broken merge": broken_merge,
    "git revert of the broken merge": revert_of_the_broken_merge,
    "git revert of v2: back to v1": revert_of_a_good_merge,
    "rollback: back to v2, without Git": rollback,
    "What the log says": what_the_log_says,
}


def _newest_container(events: Sequence[StoredEvent], service: str) -> str:
    """The id of the container that came last for a service; empty when none ever came."""
    replaced = (json.loads(event.data) for event in events if event.type == "ServiceReplaced")
    came = [data["new_ids"][-1] for data in replaced if data["service"] == service and data["new_ids"]]
    return came[-1] if came else ""


def _made(events: Sequence[StoredEvent], container: str) -> int:
    """The position of the event that names the container as new."""
    return next((one.position for one in reversed(events) if container.encode() in one.data), 1)


def _push(stage: Stage, version: str, *, message: str, mistake: bool = False) -> None:
    stage.write(stage.place.shop.files(version, mistake=mistake))
    stage.git("add", "--all", shown=False)
    stage.git("commit", "-am", message)
    stage.git("push")


def _completed(stage: Stage, after: int) -> str:
    """Wait until a Release has completed behind a position; answers its id."""
    stage.recorded("the Release completed", "ReleaseCompleted", after=after)
    started = stage.events(after=after, type_name="ReleaseStarted")
    return str(started[0].get("release", "")) if started else ""
