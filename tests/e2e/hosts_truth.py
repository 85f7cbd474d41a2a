"""Whether what the log and `status` say of hosts is what their engines and folders show."""

from __future__ import annotations

import contextlib
from pathlib import Path

import yaml

from controller.decide.folding import fold
from controller.decide.state import EnvironmentState
from controller.holders import holder_of
from controller.home import Home
from controller.locks import lock_file
from events.kernel.canonical import sha256_digest
from events.kernel.errors import ExitCode
from events.manifest import FileEntry, FileTree
from events.sqlite import SqliteEventLog
from events.streams import environment_stream
from projections.converge.fence import decode_mark
from tests.e2e.host_faults import AtRest, FaultyShop
from tests.e2e.shop_hosts import Shop
from tests.support.lab_host import LabHost

_CODES = {"repository": ExitCode.USER, "outside": ExitCode.OUTSIDE}  # a bug is none
_AS_BEFORE = {"completed", "restored", "untouched"}  # of these a verdict says what the host runs


def home_of(shop: Shop) -> Home:
    """The controller's home."""
    return Home(Path(shop.cli.environment["STAGECRAFT_HOME"]))


def state_of(shop: Shop) -> EnvironmentState:
    """The environment as the log has it."""
    with contextlib.closing(SqliteEventLog(home_of(shop).events_db)) as log:
        return fold(log.read_stream(environment_stream(shop.name, "prod")))


def events_of(shop: Shop, *kinds: str, after: int = 0) -> int:
    """How many events of these kinds the log has after a position."""
    with contextlib.closing(SqliteEventLog(home_of(shop).events_db)) as log:
        return sum(one.type in kinds for one in log.read(after=after))


def head_of(shop: Shop) -> int:
    """The newest position of the log."""
    with contextlib.closing(SqliteEventLog(home_of(shop).events_db)) as log:
        return log.head()


def running_on(shop: Shop, host: LabHost) -> dict[str, str]:
    """The hash of each service that runs there, by its name; containers that are no service's under `?`."""
    with contextlib.closing(host.client()) as client:
        found = client.containers.list(all=True, filters={"label": f"stagecraft.project={shop.name}"})
    shown: dict[str, str] = {}
    for one in found:
        service = one.labels["stagecraft.service"]
        well = one.status == "running" and service not in shown
        shown[service if well else f"? {one.name} {one.status}"] = one.labels["stagecraft.service-hash"]
    return shown


def made_on(shop: Shop, host: LabHost) -> dict[str, set[str]]:
    """The hashes of all containers of each service there, whether they run or not."""
    made: dict[str, set[str]] = {}
    with contextlib.closing(host.client()) as client:
        for one in client.containers.list(all=True, filters={"label": f"stagecraft.project={shop.name}"}):
            made.setdefault(one.labels["stagecraft.service"], set()).add(
                one.labels["stagecraft.service-hash"]
            )
    return made


def wanted_on(state: EnvironmentState, host: str, digest: str | None) -> dict[str, str]:
    """The hash of each service that a Manifest has there."""
    render = None if digest is None else state.render_of(digest)
    assert render is not None, f"{digest} was never rendered"
    return dict(render.services[host])


def check_verdict(shop: Shop, *, unsure: str = "") -> None:
    """Every Release has a verdict, and what the newest one says of each host but `unsure` is so."""
    state = state_of(shop)
    assert not state.unfinished, "a Release was left without a verdict"
    said = shop.verdict()["hosts"]
    assert set(said) == set(shop.lab.hosts)
    for name, one in said.items():
        if name != unsure and one["status"] in _AS_BEFORE:
            wanted = wanted_on(state, name, one["digest"])
            assert running_on(shop, shop.lab.host(name)) == wanted, f"{name} is not {one['status']}"


def check_struck(shop: Shop, host: str) -> None:
    """What the newest verdict says of a host whose engine was away was so: the containers are those.

    Whether they run still is the engine's doing. It must answer again.
    """
    one = shop.verdict()["hosts"][host]
    if one["status"] in _AS_BEFORE:
        wanted = {name: {found} for name, found in wanted_on(state_of(shop), host, one["digest"]).items()}
        assert made_on(shop, shop.lab.host(host)) == wanted, f"{host} was not {one['status']}"


def check_exit_code(shop: Shop, code: int, *, ended: bool) -> None:
    """A command ended as the newest verdict says; `ended`: it brought a Release to that verdict.

    One that brought none has not done what Git shows either, so it must say that something is wrong.
    """
    if not ended:
        assert code in {ExitCode.USER, ExitCode.OUTSIDE}, f"no Release, and exit code {code}"
        return
    verdict = shop.verdict()
    failed = verdict["type"] != "ReleaseCompleted"
    expected = _CODES[verdict["failure"]["cause"]] if failed else ExitCode.OK
    assert code == expected, f"exit code {code} after {verdict['type']}"


def converged(shop: Shop) -> str:
    """What is not as the log says that it is deployed; empty when everything is."""
    state = state_of(shop)
    if state.unfinished:
        return "a Release is unfinished"
    for name, host in shop.lab.hosts.items():
        wanted = wanted_on(state, name, state.placed.get(name, state.deployed_digest))
        shown = running_on(shop, host)
        if shown != wanted:
            return f"{name} shows {shown} and not {wanted}"
    return ""


def check_folders(shop: Shop) -> None:
    """No file on any host is a half."""
    for host in shop.lab.hosts.values():
        folder = _folder(shop, host)
        document = folder / "compose.yml"
        if document.exists():
            services = yaml.safe_load(document.read_text())["services"]
            assert services, f"{host.name}: compose.yml is cut off"
        for tree in (folder / "files").glob("[!.]*"):
            assert _digest(tree).removeprefix("sha256:") == tree.name, (
                f"{host.name}: {tree.name} is not whole"
            )


def check_swept(shop: FaultyShop) -> None:
    """What was broken off lies aside at most until the same file is written again, or any tree is put."""
    for name, host in shop.lab.hosts.items():
        now, before = _at_rest(_folder(shop, host)), shop.rests.get(name)
        shop.rests[name] = now
        if before is None:
            continue
        written = [file for file, content in now.files.items() if before.files[file] != content]
        left = {one for one in before.aside & now.aside for file in written if one.startswith(f".{file}.")}
        assert not left, f"{name}: {left} were left"
        if now.trees - before.trees:
            assert not before.trees_aside & now.trees_aside, f"{name}: {now.trees_aside} were left"


def _at_rest(folder: Path) -> AtRest:
    return AtRest(
        files={name: (folder / name).read_bytes() for name in ("fence", "compose.yml")},
        trees=frozenset(one.name for one in (folder / "files").glob("[!.]*")),
        aside=frozenset(one.name for one in folder.glob(".*")),
        trees_aside=frozenset(one.name for one in (folder / "files").glob(".*")),
    )


def _folder(shop: Shop, host: LabHost) -> Path:
    return host.path(f"/var/lib/stagecraft/apps/{shop.name}/prod")


def _digest(tree: Path) -> str:
    entries = [
        FileEntry(
            path=str(one.relative_to(tree)),
            executable=bool(one.stat().st_mode & 0o100),
            blob=sha256_digest(one.read_bytes()),
        )
        for one in tree.rglob("*")
        if one.is_file()
    ]
    return FileTree(entries=tuple(entries)).digest


def check_guards(shop: Shop) -> None:
    """Nobody holds the lock, and the fence of each host is whole, ours and not ahead of the log."""
    assert holder_of(lock_file(home_of(shop).run, f"{shop.name}/prod")) is None
    with contextlib.closing(SqliteEventLog(home_of(shop).events_db)) as log:
        lineage, newest = log.lineage, log.newest_token(f"{shop.name}/prod")
    for host in shop.lab.hosts.values():
        content = (_folder(shop, host) / "fence").read_bytes()
        mark = decode_mark(content)
        assert mark is not None, f"{host.name}: {content!r}"
        assert mark.lineage == lineage
        assert 0 < mark.token <= newest


def check_live(shop: Shop, *, silent: str) -> None:
    """`status --live` says of the one host that it does not answer, and of the others that they do."""
    shown = shop.cli.run("status", "--env", "prod", "--live", "--json", seconds=120).json()
    said = {one["name"]: bool(one["reachable"]) for one in shown["hosts"]}
    assert said == {name: name != silent for name in shop.lab.hosts}, shown["hosts"]
