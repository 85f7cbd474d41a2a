"""What `config render` shows otherwise than `docker compose config` does, each with its reason.

Everything that is not in this list is shown as Compose shows it. The reference page is written from the list
and `make parity` takes back exactly what it names, so a difference that is not in it is a fault of ours.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that is documented to differ."""

    name: str  # kebab-case, as `make parity` reports it
    where: str  # the keys
    what: str
    why: str


DROPPED_KEYS = {
    "build": "Images are built before anything is rendered for a host, which has no build context.",
    "develop": "It tells Compose what to watch on a developer's machine.",
    "extends": "What it names has been merged; Compose leaves it where that is empty.",
    "label_file": "The labels have been read; they stand under `labels`.",
    "profiles": "Which services take part has been decided.",
    "pull_policy": "Images are pinned and pulled before anything is touched.",
    "pull_refresh_after": "Images are pinned and pulled before anything is touched.",
}
"""Keys of a service that have done their work when a document goes to a host, with the reason."""

DIFFERENCES = (
    Difference(
        name="labels",
        where="`services.<name>.labels`",
        what="Labels that start with `stagecraft.` are added.",
        why="They say whose a container is.",
    ),
    Difference(
        name="project-name",
        where="`name`",
        what="A `name:` in the Compose file is not used; "
        "it is `<project>-<environment>`, or what `compose_project` says.",
        why="Two environments of one project must not share containers and volumes.",
    ),
    Difference(
        name="client-settings",
        where="`COMPOSE_…` in `.env`",
        what="They do not change how Compose is run.",
        why="Which files are read and which profiles are active is said in `stagecraft.yml`.",
    ),
    Difference(
        name="override-file",
        where="`compose.override.yaml` and its like",
        what="It is not merged by itself.",
        why="What runs must be the same for every reader of the folder.",
    ),
    Difference(
        name="commit-mount",
        where="`services.<name>.volumes`",
        what="A bind mount of a path of the commit has a source named by its content, "
        "is read-only, and its source is not created when it is missing.",
        why="A changed file then changes the service that mounts it, and no other.",
    ),
    Difference(
        name="state-mount",
        where="`services.<name>.volumes`",
        what="A relative bind mount of a path that is not in the commit is a folder that stays on the host, "
        "and it is created there.",
        why="It is data of the app; the commit's own folder is another one with every commit.",
    ),
    Difference(
        name="volume-device",
        where="`volumes.<name>.driver_opts.device`",
        what="A relative path that is not in the commit is a folder that stays on the host.",
        why="As for bind mounts; one that is in the commit is refused, for a volume is writable.",
    ),
    Difference(
        name="config-mount",
        where="`configs`, `services.<name>.configs`",
        what="They are read-only bind mounts at the same place, after the service's own mounts; "
        "one whose file is not in the commit is shown by `--no-pin` among what stays on the host.",
        why="Compose sees no change of a config's content; a source named by its content is one.",
    ),
    Difference(
        name="secret-mount",
        where="`secrets`, `services.<name>.secrets`",
        what="As configs.",
        why="As configs.",
    ),
    *(
        Difference(
            name=key.replace("_", "-"), where=f"`services.<name>.{key}`", what="It is left out.", why=why
        )
        for key, why in DROPPED_KEYS.items()
    ),
    Difference(
        name="reload-mount",
        where="`services.<name>.volumes`, `services.<name>.labels`",
        what="Where the label `stagecraft.reload` asks for a signal, what comes from the commit has a source "
        "named by the service and its place there, and the signal has its whole name.",
        why="A service that is told of changed files is not replaced for them.",
    ),
    Difference(
        name="built-image",
        where="`services.<name>.image`",
        what="A service that has only `build:` has the name of the image that is built for it, "
        "or Compose's own when it cannot be built.",
        why="A host runs an image that is there; Compose would name it when it builds it.",
    ),
    Difference(
        name="extensions",
        where="`x-…`",
        what="Extension keys of the document, of services, networks and volumes are left out.",
        why="The engine does not act on them, and a changed comment must not restart a service.",
    ),
    Difference(
        name="jobs",
        where="`jobs`",
        what="They are left out, with a finding.",
        why="Stagecraft does not run them; what is to run once is a service with `job` in `stagecraft.yml`.",
    ),
    Difference(
        name="empty-placement",
        where="`services.<name>.deploy.placement`",
        what="It is left out when it is empty.",
        why="Compose writes it for some inputs and not for others of the same meaning.",
    ),
    Difference(
        name="absent-dependency",
        where="`services.<name>.depends_on`, `services.<name>.links`",
        what="Services that are not in the host's document are left out of it.",
        why="Compose cannot wait for a service of another host, nor for one that takes no part.",
    ),
    Difference(
        name="host-env-file",
        where="`services.<name>.env_file`",
        what="An absolute path stays as it is written; Compose would read the file and show its variables.",
        why="It is a file of the host, and its values never leave it.",
    ),
    Difference(
        name="host-variable",
        where="texts of `services.<name>`",
        what="Where the environment's `env_file` is an absolute path, a reference to a variable that the "
        "repository does not set stays a reference, with its default or its error; a variable that is also "
        "used where no text is comes to its default everywhere, and without one it is refused.",
        why="Only the host has the value. It is put in there, and one word of a command stays one word.",
    ),
)


REFUSALS = {
    "compose-home-refused": "On a controller it is nobody's home.",
    "compose-key-refused": "Compose does not interpolate keys, and drops the dollar sign.",
    "compose-path-refused": "A render reads the commit and nothing else; which files it reads must be plain.",
    "compose-path-unsupported": "On a host such a path would mean something else.",
    "compose-program-refused": "A commit must not run programs on the controller.",
    "compose-remote-refused": "What is fetched is not part of the commit, unless the commit pins it and the "
    "operator allows it; archives and registries are never asked.",
    "compose-socket-refused": "Whoever has the socket has the host.",
    "compose-too-large": "One environment must not take the memory of all.",
    "external-unsupported": "Only an engine in Swarm mode has such.",
    "host-reference-unclear": "A password must not end up where two readers disagree.",
    "host-variable-misplaced": "What an image, a port or a path is must be known when it is recorded.",
    "lfs-pointer": "A pointer is three lines of text, and nobody means those.",
    "label-reserved": "Whose a container is must not be claimed; `stagecraft.reload` is free.",
    "mounts-too-large": "Mounted files are kept with the record of what ran.",
    "path-escapes": "A render reads the commit and nothing else.",
    "path-is-link": "A link may lead anywhere.",
    "path-is-submodule": "It is another repository, which the operator allows or not.",
    "reload-signal-invalid": "Files would be changed, and nobody told.",
    "services-none": "There would be nothing to deploy.",
    "volume-ambiguous": "Compose takes such a name for a drive, and mounts something else.",
}
"""What is refused at render although Compose takes it: `{code: why}`."""
