"""What every test gets without asking: a home, a Git identity and an environment of its own.

A test that asks for the engine or for hosts is marked `engine`, one that lies in `tests/e2e` is marked
`e2e`, and both run after all others: a broken fold is reported in a second, not after minutes of containers.

When several processes share the suite, they begin with these. Each takes a module at a time when each has
an engine of its own (tests/lab/pytest.sh says so); with one engine between them one process has all modules
that may use it, because they look at what it holds, and the other tests run beside it.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Generator, Iterator
from pathlib import Path

import hypothesis
import pytest
from docker.client import DockerClient
from xdist.remote import Producer
from xdist.scheduler.loadscope import LoadScopeScheduling

from events.kernel.redact import REDACT
from tests.support.cleanup import EngineProject, project_of_one_test
from tests.support.cli import Stagecraft
from tests.support.engine import connect, running_engine
from tests.support.images import TestImages
from tests.support.lab_hosts import Lab, lab
from tests.support.repos import Repository
from tests.support.time import CountingIds, FakeClock, ManualClock

FOREIGN_PREFIXES = ("STAGECRAFT_", "COMPOSE_", "DOCKER_", "GIT_", "XDG_", "SSH_")
PROCESS_OF_SEVERAL = "PYTEST_XDIST_WORKER"
ENGINE_FOR_EACH = "ENGINE_FOR_EACH"
WITHOUT_ENGINE = (
    "tests/unit/",
    "tests/crash/",
    "tests/parity/",
    "tests/contract/test_event_log",
    "tests/contract/test_actor",
    "tests/contract/test_blob",
    "tests/contract/test_tokens",
    "tests/contract/test_transport",
    "tests/integration/gitops/",
    "tests/integration/transport/",
)
GIT_IDENTITY = """[user]
    name = Test Person
    email = person@example.org
[init]
    defaultBranch = main
[commit]
    gpgSign = false
[protocol "file"]
    allow = always
"""


hypothesis.settings.register_profile(
    "steady", derandomize=True, deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.register_profile("search", deadline=None, max_examples=1000)


def pytest_configure() -> None:
    """Make SIGTERM end the session as Ctrl-C does, so that an engine started here is stopped here.

    A shell starts its background jobs with SIGINT ignored, and children inherit that: the commands that
    tests interrupt must hear it. Property tests take the same examples in each run, so that a run says
    something about a change; `make test-full` searches for new ones.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark by need and by folder, and put the slow kinds last, or first where others run beside them."""
    for item in items:
        if {"engine", "lab_hosts"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.engine)
        if "e2e" in item.path.relative_to(item.config.rootpath).parts:
            item.add_marker(pytest.mark.e2e)
    items.sort(key=_cost, reverse=PROCESS_OF_SEVERAL in os.environ)


class OneEngine(LoadScopeScheduling):
    """Gives all tests of the folders that may use the engine to one process, and any other to any."""

    def _split_scope(self, nodeid: str) -> str:
        alone = nodeid.startswith(WITHOUT_ENGINE) and "real_engine" not in nodeid
        return nodeid if alone else "engine"


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """How several processes share the suite."""
    return (LoadScopeScheduling if ENGINE_FOR_EACH in os.environ else OneEngine)(config, log)


def _cost(item: pytest.Item) -> int:
    return 2 * (item.get_closest_marker("e2e") is not None) + (item.get_closest_marker("engine") is not None)


@pytest.fixture(autouse=True)
def isolated_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty HOME with a Git identity; nothing of the person who runs the tests shines through."""
    home = tmp_path_factory.mktemp("home")
    configuration = home / ".gitconfig"
    configuration.write_text(GIT_IDENTITY)
    for name in [name for name in os.environ if name.startswith(FOREIGN_PREFIXES)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(configuration))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_TERMINAL_PROMPT", "0")
    return home


@pytest.fixture(autouse=True)
def _forgetful_redactor() -> Generator[None]:
    """What one test taught the process-wide redactor, the next one does not know."""
    yield
    REDACT.forget()


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A bare origin with a working clone, both empty."""
    return Repository.create(tmp_path / "repository")


@pytest.fixture
def cli(tmp_path: Path) -> Stagecraft:
    """The installed command; its working directory and its state are under `tmp_path`."""
    return Stagecraft(cwd=tmp_path, environment={"STAGECRAFT_HOME": str(tmp_path / "home")})


@pytest.fixture
def clock() -> FakeClock:
    """A clock whose sleepers move it."""
    return FakeClock()


@pytest.fixture
def manual_clock() -> ManualClock:
    """A clock that only the test moves."""
    return ManualClock()


@pytest.fixture
def ids() -> CountingIds:
    """Ids that count."""
    return CountingIds()


@pytest.fixture(scope="session")
def engine() -> Iterator[DockerClient]:
    """A client of a real Docker engine at the default socket; see tests/support/engine.py."""
    with running_engine(), contextlib.closing(connect()) as client:
        yield client


@pytest.fixture(scope="session")
def images(engine: DockerClient) -> Iterator[TestImages]:
    """Makes images; all of them are gone after the session."""
    made = TestImages(engine)
    try:
        yield made
    finally:
        made.remove_all()


@pytest.fixture(scope="module")
def lab_hosts() -> Iterator[Lab]:
    """Three real hosts, `h1` to `h3`, for the tests of a module; each of them heals what it broke."""
    with lab(hosts=3) as made:
        yield made


@pytest.fixture
def engine_project(engine: DockerClient) -> Iterator[EngineProject]:
    """A project name of this test alone; its containers, networks and volumes are gone afterwards."""
    yield from project_of_one_test(engine)
