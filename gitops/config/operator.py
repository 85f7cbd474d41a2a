"""The parts of `controller.yml` that speak of repositories and hosts.

What guards a repository stands here and never in it; `gitops.config.policy` has what a project may ask for.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from events.refs import branch_ref, tags_ref
from gitops.config.scalars import Count, HostAddress, HostName, HostPath, Name, Port, Text, VariableName
from gitops.config.section import Emptied, Section
from gitops.source.versions import VersionRange, parse_range

Glob = Annotated[str, Field(pattern=r"^[A-Za-z0-9*?\[\]!._-]+$", max_length=253)]


class VerifySection(Section):
    """`repositories[].verify`: which commits are trusted."""

    mode: Literal["every", "head", "none", "tag"] = Field(
        default="none",
        description="What an allowed signer has to sign: the tip, `every` commit, or a `tag` at the tip.",
    )
    signers: Text | None = Field(
        default=None, description="File of allowed signers, in the form of OpenSSH; from beside this file."
    )
    keyring: Text | None = Field(
        default=None, description="File of public keys, for GPG; from beside this file."
    )


class WebhookSection(Section):
    """`repositories[].webhooks.<kind>`: a Git host that says when to look."""

    secret_env: VariableName = Field(description="Variable with the secret that it signs with.")


class RepositorySshSection(Section):
    """`repositories[].ssh`: how Git logs in to the server of a repository."""

    identity_file: Text | None = Field(
        default=None,
        description="File with the private key, and no other is offered; from beside this file.",
    )
    known_hosts: Text | None = Field(
        default=None,
        description="File with the keys of servers, and no other counts; from beside this file.",
    )


class RepositorySection(Section):
    """`repositories[]`: a branch that is watched, or tags."""

    url: Text = Field(description="Address, or a path from the folder of this file.")
    branch: Text = Field(default="main", description="The branch; its name may be fully qualified.")
    tags: Text | None = Field(
        default=None,
        description="In place of a branch: the tag with the highest version in a range, as `>=1.2 <2` or "
        "`^1.4`; pre-releases where the range names one.",
    )
    environments: list[Name] = Field(default=[], description="What it deploys; all unless given.")
    interval_seconds: Count | None = Field(
        default=None, description="Between two questions; `poll.interval` unless given."
    )
    watch: Literal["auto"] | bool = Field(
        default="auto",
        description="Notice a push to a repository on this machine at once; `true` where that must be one.",
    )
    hosts: list[Glob] = Field(
        default=["local"], description="Hosts that its projects may name, each a name or as in `app-*`."
    )
    verify: Emptied[VerifySection] = Field(default=VerifySection(), description="Which commits are trusted.")
    ssh: Emptied[RepositorySshSection] = Field(
        default=RepositorySshSection(),
        description="How Git logs in; as the controller's user would unless given.",
    )
    allow_rewrite: bool = Field(default=False, description="Take a history that was rewritten.")
    submodules: bool = Field(
        default=False,
        description="Read submodules: those on its own server, and what `remotes` of a policy allow.",
    )
    webhooks: dict[Literal["generic", "gitea", "github", "gitlab"], WebhookSection] = Field(
        default={}, description="Git hosts that may say when to look."
    )

    @property
    def ref(self) -> str:
        """What is watched, as the log names it."""
        return branch_ref(self.branch) if self.tags is None else tags_ref(self.tags)

    @property
    def versions(self) -> VersionRange | None:
        """The range of versions, where tags are watched. Raises ValueError for one that cannot be read."""
        return None if self.tags is None else parse_range(self.tags)


class SshSection(Section):
    """`ssh`: how hosts are reached."""

    identity_files: list[Text] = Field(
        default=[], description="Files with private keys, from beside this file; the agent's unless given."
    )
    known_hosts: Text | None = Field(
        default=None,
        description="File with the keys of hosts, from beside this file; `keys/known_hosts` of the home "
        "unless given.",
    )
    host_keys: Literal["first-use", "strict"] = Field(
        default="strict", description="`first-use`: the first key that a host shows is kept."
    )
    connect_seconds: Count = Field(default=10, description="The longest wait for a connection.")
    jump: Text | None = Field(default=None, description="The host on the way, as in `user@gateway`.")

    def anchored(self, folder: Path) -> SshSection:
        """The same with paths that start in `folder`, where they are relative."""
        known = None if self.known_hosts is None else str(folder / self.known_hosts)
        files = [str(folder / one) for one in self.identity_files]
        return self.model_copy(update={"identity_files": files, "known_hosts": known})


class StaticHostSection(Section):
    """`network.static.hosts.<name>`: a host with an address of its own."""

    address: HostAddress = Field(description="Its name or address.")
    port: Port = Field(default=22, description="Port of its SSH server.")
    user: Text = Field(default="root", description="Who logs in.")
    engine_socket: HostPath = Field(default="/var/run/docker.sock", description="Socket of its engine.")
    root: HostPath = Field(default="/var/lib/stagecraft", description="The folder that is ours.")


class StaticNetworkSection(Section):
    """`network.static`: hosts that are listed."""

    hosts: dict[HostName, Emptied[StaticHostSection]] = Field(default={}, description="By name.")


class OperatorNetworkSection(Section):
    """`network`: the hosts and how to find them; it wins over what a project says."""

    provider: Literal["static"] = Field(default="static", description="Who knows them.")
    static: Emptied[StaticNetworkSection] = Field(default=StaticNetworkSection(), description="Listed ones.")
