"""The steps of the script, each done to the stage as somebody or something would do it."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

from docker.client import DockerClient
from docker.errors import NotFound
from docker.models.containers import Container

from tests.soak.app import ENVIRONMENTS, SERVICES
from tests.soak.script import Action, Step
from tests.soak.stage import Stage, unless_gone
from tests.support.processes import POLL_SECONDS

_HEAL_SECONDS = 20.0
_MID_COMMAND_SECONDS = 4.0


def perform(stage: Stage, step: Step) -> None:
    """Do one step and count it."""
    stage.done[step.action] += 1
    _ACTIONS[step.action](stage, step)


def _push_good(stage: Stage, step: Step) -> None:
    stage.app.good(step.choose(30))


def _push_crashing(stage: Stage, _step: Step) -> None:
    stage.app.bad(stage.app.versions.crashing)


def _push_sick(stage: Stage, _step: Step) -> None:
    stage.app.bad(stage.app.versions.sick)


def _push_unusable(stage: Stage, step: Step) -> None:
    stage.app.unusable(step.choose(stage.app.unusable_kinds))


def _revert(stage: Stage, _step: Step) -> None:
    if stage.app.merged > 1:
        stage.app.revert()


def _rewrite(stage: Stage, _step: Step) -> None:
    stage.app.rewrite()


def _repository_away(stage: Stage, step: Step) -> None:
    origin = stage.app.repository.origin
    away = origin.with_name("away.git")
    origin.rename(away)
    try:
        time.sleep(step.seconds)
    finally:
        away.rename(origin)


def _environment(step: Step) -> str:
    return ENVIRONMENTS[step.choose(len(ENVIRONMENTS))]


def _roll_back(stage: Stage, step: Step) -> None:
    stage.command("rollback", "--env", _environment(step), "--to-previous", "--reason", "soak")


def _roll_back_and_kill(stage: Stage, step: Step) -> None:
    process = stage.command("rollback", "--env", _environment(step), "--to-previous", "--reason", "soak")
    if process is not None:
        time.sleep(step.other * _MID_COMMAND_SECONDS)
        process.kill()
        process.wait()


def _hold(stage: Stage, step: Step) -> None:
    stage.command("hold", "--env", _environment(step), "--reason", "soak")


def _resume(stage: Stage, step: Step) -> None:
    stage.command("resume", "--env", _environment(step), "--reason", "soak")


def _break_lock(stage: Stage, step: Step) -> None:
    stage.command("lock", "break", "--env", _environment(step), "--reason", "soak")


def _victim(stage: Stage, step: Step) -> Container | None:
    """A running container of one environment and service; None when there is none now."""
    service = SERVICES[step.choose_other(len(SERVICES))]
    running = [one for one in stage.containers(_environment(step)) if one.status == "running"]
    found = [one for one in running if one.labels.get("stagecraft.service") == service]
    return found[0] if found else None


def _kill_container(stage: Stage, step: Step) -> None:
    _hurt(stage, step, lambda container: container.kill())


def _stop_container(stage: Stage, step: Step) -> None:
    _hurt(stage, step, lambda container: container.stop(timeout=1))


def _remove_container(stage: Stage, step: Step) -> None:
    _hurt(stage, step, lambda container: container.remove(force=True, v=True))


def _hurt(stage: Stage, step: Step, harm: Callable[[Container], None]) -> None:
    """Harm a container and note how long its service was without one that runs.

    Nothing is noted when it takes very long: a breaker may rest, or a deploy be under way.
    """
    with stage.client() as client:
        victim = _victim(stage, step)
        container = victim and _present(client, victim)
        if container is None:
            return
        began = time.monotonic()
        unless_gone(lambda: harm(container))
        former = container.attrs["State"]["StartedAt"]
        while time.monotonic() - began < _HEAL_SECONDS:
            if _runs_anew(stage, step, former_id=container.id or "", former_start=former):
                stage.healed.append(time.monotonic() - began)
                return
            time.sleep(POLL_SECONDS)


def _present(client: DockerClient, listed: Container) -> Container | None:
    """A container listed a moment ago, through a client that is open; None when it has gone since."""
    try:
        return client.containers.get(listed.id or "")
    except NotFound:
        return None


def _runs_anew(stage: Stage, step: Step, *, former_id: str, former_start: str) -> bool:
    found = _victim(stage, step)
    if found is None:
        return False
    return found.id != former_id or found.attrs["State"]["StartedAt"] != former_start


def _end_daemon(stage: Stage, step: Step) -> None:
    watched = stage.keeper.watches
    code = stage.keeper.end(signal.SIGTERM)
    by_a_broken_lock, before_it_began = code == -signal.SIGKILL, code == -signal.SIGTERM and not watched
    if code != 0 and not by_a_broken_lock and not before_it_began:
        stage.faults.append(f"the daemon that was asked to end ended with {code}")
    time.sleep(step.other * _MID_COMMAND_SECONDS)
    stage.keeper.start()


def _kill_daemon(stage: Stage, step: Step) -> None:
    stage.keeper.end(signal.SIGKILL)
    time.sleep(step.other * _MID_COMMAND_SECONDS)
    stage.keeper.start()


def _freeze_daemon(stage: Stage, step: Step) -> None:
    process = stage.keeper.process
    if process is None:
        return
    process.send_signal(signal.SIGSTOP)
    try:
        time.sleep(step.seconds)
    finally:
        process.send_signal(signal.SIGCONT)


def _restart_engine(stage: Stage, step: Step) -> None:
    stage.engine.stop(signal.SIGTERM)
    time.sleep(step.other * _MID_COMMAND_SECONDS)
    stage.engine.start()


def _kill_engine(stage: Stage, step: Step) -> None:
    stage.engine.stop(signal.SIGKILL)
    time.sleep(step.other * _MID_COMMAND_SECONDS)
    stage.engine.start()


def _freeze_engine(stage: Stage, step: Step) -> None:
    stage.engine.freeze()
    try:
        time.sleep(step.seconds)
    finally:
        stage.engine.thaw()


_ACTIONS: dict[Action, Callable[[Stage, Step], None]] = {
    "push a good version": _push_good,
    "push a crashing version": _push_crashing,
    "push an unhealthy version": _push_sick,
    "push an unusable commit": _push_unusable,
    "revert the last commit": _revert,
    "rewrite the branch": _rewrite,
    "take the repository away for a while": _repository_away,
    "roll back": _roll_back,
    "roll back and kill the command": _roll_back_and_kill,
    "hold": _hold,
    "resume": _resume,
    "break a lock": _break_lock,
    "kill a container": _kill_container,
    "stop a container": _stop_container,
    "remove a container": _remove_container,
    "end the daemon": _end_daemon,
    "kill the daemon": _kill_daemon,
    "freeze the daemon": _freeze_daemon,
    "restart the engine": _restart_engine,
    "kill the engine": _kill_engine,
    "freeze the engine": _freeze_engine,
}
