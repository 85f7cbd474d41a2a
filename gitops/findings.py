"""What a person should know about the input.

A warning or a note never stops anything by itself; what is found as an error stops a render as a
`config-invalid`, and stands in a list of findings only where one is asked for. The code is stable, so that a
policy can refuse on it, and says how grave the finding is.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from events.kernel.errors import Where


class FindingCode(StrEnum):
    """What was found; each value is one kind."""

    COMPOSE_SEVERAL = "compose-several"  # several Compose files, the first in Compose's order is taken
    OVERRIDE_IGNORED = "override-ignored"  # a `*.override.*` file, which a person's Compose would merge
    NAME_IGNORED = "name-ignored"  # a top-level `name:`; the project's name comes from `stagecraft.yml`
    VARIABLE_UNSET = "variable-unset"  # rendered blank
    COMPOSE_WARNING = "compose-warning"  # anything else Compose said
    MOUNT_READ_ONLY = "mount-read-only"  # a committed path is mounted read-only
    MOUNT_NOT_IN_COMMIT = "mount-not-in-commit"  # a relative path that becomes a folder kept on the host
    MOUNT_IS_STATE = "mount-is-state"  # `mounts` makes it a writable folder kept on the host
    FILE_MODE_IGNORED = "file-mode-ignored"  # uid, gid or mode of a config or secret
    RELOAD_UNUSED = "reload-unused"  # the label `stagecraft.reload` of a job, or without files
    ENV_FILE_ABSENT = "env-file-absent"  # the environment's `env_file` is not in the commit
    HOST_VARIABLE_NOT_ASKED = "host-variable-not-asked"  # used where a value is needed; its default counts
    DEPENDENCY_EXTERNAL = "dependency-external"  # depends_on or links to a service that runs outside
    VOLUME_PER_HOST = "volume-per-host"  # a service of several hosts has a volume of its own on each
    NETWORK_PER_HOST = "network-per-host"  # a network on several hosts is one of its own on each
    HOST_UNNAMED = "host-unnamed"  # no provider knows an address of a host that others have to reach
    GATEWAY_SETTING = "gateway-setting"  # a setting about the gateway that comes to nothing, or to less
    ROUTE_LEFT = "route-left"  # labels for Traefik that no route can stand for; they stay labels
    JOBS_IGNORED = "jobs-ignored"  # the `jobs` of a Compose file are not run
    NOT_DEPLOYABLE = "not-deployable"  # shown by `config render --no-pin`, and an error of a deploy
    DEPENDENCY_DROPPED = "dependency-dropped"  # depends_on or links to a service of another host
    ENVIRONMENT_REPLACED = "environment-replaced"  # a descriptor stands in for the inline entry
    NEEDS_PERMISSION = "needs-permission"  # deployed only where controller.yml allows it
    BUILD_OPTION_IGNORED = "build-option-ignored"  # an option of `build:` about caches and names
    COMPOSE_VARIABLE_IGNORED = "compose-variable-ignored"  # COMPOSE_* in `.env`
    DESCRIPTOR_IGNORED = "descriptor-ignored"  # a file that looks like a descriptor and has another ending
    COMPOSE_UNREAD = "compose-unread"  # names of services are not compared with the Compose files
    PROVIDER_NOT_READY = "provider-not-ready"  # a known provider that does nothing yet
    UNUSED_KEY = "unused-key"  # a key that is checked and that nothing reads yet
    UNKNOWN_KEY = "unknown-key"
    DUPLICATE_KEY = "duplicate-key"
    MISSING_KEY = "missing-key"
    WRONG_TYPE = "wrong-type"  # text where a list is needed, and the like
    VALUE_INVALID = "value-invalid"  # of the right type, and against a rule
    YAML_INVALID = "yaml-invalid"
    ROLE_UNKNOWN = "role-unknown"  # a role without a host
    SERVICE_UNKNOWN = "service-unknown"  # a service that the Compose files do not have
    PROVIDER_UNKNOWN = "provider-unknown"


class Severity(StrEnum):
    """How grave a finding is."""

    ERROR = "error"  # nothing is deployed with it
    WARNING = "warning"
    INFO = "info"


_ERRORS = frozenset(
    {
        FindingCode.UNKNOWN_KEY,
        FindingCode.DUPLICATE_KEY,
        FindingCode.MISSING_KEY,
        FindingCode.WRONG_TYPE,
        FindingCode.VALUE_INVALID,
        FindingCode.YAML_INVALID,
        FindingCode.ROLE_UNKNOWN,
        FindingCode.SERVICE_UNKNOWN,
        FindingCode.PROVIDER_UNKNOWN,
    }
)
_NOTES = frozenset({FindingCode.UNUSED_KEY, FindingCode.COMPOSE_UNREAD, FindingCode.HOST_VARIABLE_NOT_ASKED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was found and the place it speaks of."""

    code: FindingCode
    message: str
    file: str | None = None
    line: int | None = None  # 1-based
    column: int | None = None  # 1-based
    key: str | None = None  # dotted

    @property
    def severity(self) -> Severity:
        """How grave it is."""
        if self.code in _ERRORS:
            return Severity.ERROR
        return Severity.INFO if self.code in _NOTES else Severity.WARNING

    @property
    def order(self) -> tuple[str, int, int, str, str]:
        """Findings by file and place."""
        return (self.file or "", self.line or 0, self.column or 0, self.key or "", self.code)

    def as_json(self) -> dict[str, str | int | None]:
        """The object that a list of findings holds; its keys are a published contract."""
        return {
            "code": self.code,
            "message": self.message,
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "key": self.key,
            "severity": self.severity,
        }

    def __str__(self) -> str:
        place = str(Where(file=self.file, line=self.line, column=self.column, key=self.key))
        return f"{self.code}: {self.message}" + (f" ({place})" if place else "")
