"""The schema of `controller.yml`: the operator's own settings, never part of a watched repository."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from events.kernel.errors import UserError, Where, error_code
from gitops.config.document import MAX_CONFIG_BYTES, Document, load_document
from gitops.config.faults import ConfigInvalidError, Fault
from gitops.config.hosts import host_faults
from gitops.config.operator import OperatorNetworkSection, RepositorySection, SshSection
from gitops.config.policy import Policy
from gitops.config.repositories import repository_faults
from gitops.config.scalars import Duration, ListenAddress, Text, WebAddress
from gitops.config.schema import parse
from gitops.config.seals import SealsSection
from gitops.config.section import Emptied, Section

CONTROLLER_FILE_UNREADABLE = error_code(
    "controller-file-unreadable", "The controller's configuration file cannot be read."
)

CONTROLLER_FILE = "controller.yml"


class PollSection(Section):
    """`poll`: asking the repository, whether or not anything woke the controller."""

    interval: Duration = Field(default=30.0, description="Between two questions.")
    jitter: Duration = Field(default=3.0, description="Up to this much earlier or later.")
    longest: Duration = Field(default=300.0, description="Between two questions while it does not answer.")
    stale_after: Duration = Field(
        default=600.0, description="Without an answer for this long, the branch counts as stale."
    )


class PassSection(Section):
    """`pass`: looking at everything, whether or not anything happened."""

    interval: Duration = Field(default=300.0, description="Between two passes.")


class NotifySection(Section):
    """`notify`: who is told of a failed or rolled back Release, a stale branch, and a recovery."""

    webhook: WebAddress | None = Field(default=None, description="Gets a POST with a JSON object.")
    command: Annotated[list[str], Field(min_length=1)] | None = Field(
        default=None, description="A program and its arguments; gets the JSON object on standard input."
    )
    deadline: Duration = Field(default=10.0, description="How long telling may take.")


class RegistrySection(Section):
    """`registries.<host[:port]>`: what is special about a registry."""

    plain_http: bool = Field(
        default=False, description="Speak plain HTTP with it, as with registries on this machine."
    )
    offer_to_hosts: bool = Field(
        default=False,
        description="Of one at `127.0.0.1:PORT`: hosts over SSH reach it there, too, by their connection.",
    )


class BuildsSection(Section):
    """`builds`: building images from commits, which runs what a commit says on this machine's engine."""

    allowed: bool = Field(default=False, description="Whether anything is built.")
    deadline: Duration = Field(default=900.0, description="How long one build, or one push, may take.")


class KeptSection(Section):
    """`kept`: what is left of containers that failed a Release, kept below the home for a look."""

    count: Annotated[int, Field(ge=0, le=100)] = Field(
        default=3, description="The newest of each environment; 0: nothing is kept."
    )
    age: Duration = Field(default=604_800.0, description="How long at most; seven days unless given.")


class ControllerFile(Section):
    """`controller.yml`."""

    poll: Emptied[PollSection] = Field(default=PollSection(), description="How the repository is asked.")
    passes: Emptied[PassSection] = Field(default=PassSection(), alias="pass", description="The backstop.")
    notify: Emptied[NotifySection] = Field(default=NotifySection(), description="Who is told.")
    listen: ListenAddress = Field(
        default="127.0.0.1:8700", description="Where webhooks are taken, if some branch has any."
    )
    repositories: list[RepositorySection] = Field(
        default=[], description="What is watched, unless `--repo` says so, and which commits are trusted."
    )
    network: Emptied[OperatorNetworkSection] = Field(
        default=OperatorNetworkSection(), description="The hosts; it wins over what a project says."
    )
    ssh: Emptied[SshSection] = Field(default=SshSection(), description="How hosts are reached.")
    policy: Emptied[Policy] = Field(
        default={}, description="By project, or by environment as `project/name`: what they may ask for."
    )
    registries: Emptied[dict[Text, Emptied[RegistrySection]]] = Field(
        default={}, description="By host and port, as image names begin."
    )
    kept: Emptied[KeptSection] = Field(
        default=KeptSection(), description="What stays of containers that failed."
    )
    builds: Emptied[BuildsSection] = Field(
        default=BuildsSection(), description="Whether commits are built here."
    )
    seals: Emptied[SealsSection] = Field(
        default=SealsSection(), description="How often the log is sealed, and where seals go."
    )


def load_controller_file(path: Path, *, required: bool) -> ControllerFile:
    """Read and check the file; one that is missing and not required stands for the defaults.

    Paths of `ssh` are absolute then: relative ones start beside the file. Raises UserError
    `controller-file-unreadable` or `config-invalid`.
    """
    if not required and not path.exists():
        return ControllerFile()
    document = read_controller_file(path)
    file = parse(document, ControllerFile)
    if faults := operator_faults(document, file, folder=path.parent):
        raise ConfigInvalidError(faults)
    return file.model_copy(update={"ssh": file.ssh.anchored(path.parent.absolute())})


def operator_faults(document: Document, file: ControllerFile, *, folder: Path) -> list[Fault]:
    """A fault for each rule that no single entry can be checked by. Relative paths start in `folder`."""
    return [
        *repository_faults(document, file.repositories, folder=folder),
        *host_faults(document, file.network),
    ]


def read_controller_file(path: Path) -> Document:
    """The file as data. Raises UserError `controller-file-unreadable` or `config-invalid`."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_CONFIG_BYTES + 1)
    except OSError as error:
        raise _unreadable(path, str(error)) from error
    if len(content) > MAX_CONFIG_BYTES:
        raise _unreadable(path, f"it is larger than {MAX_CONFIG_BYTES} bytes")
    return load_document(path.name, content)


def _unreadable(path: Path, why: str) -> UserError:
    return UserError(
        CONTROLLER_FILE_UNREADABLE,
        f"cannot read {path}",
        where=Where(file=str(path)),
        why=why,
        next="name a file with --controller FILE",
    )
