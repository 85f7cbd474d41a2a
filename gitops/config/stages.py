"""Overlays, layers of env, templates, hooks and steps: how an environment is put together and run by stages.

The stages are source (which Compose files), prepare (env and templates), deploy, post_deploy and destroy.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from gitops.config.scalars import Duration, PathInside, ServiceName, Text
from gitops.config.section import Emptied, Section


class ProfileSection(Section):
    """`profiles.<name>`: a choice of services and options under a name."""

    services: list[Text] = Field(default=[], description="Compose services; `*` is all of them.")
    options: list[Text] = Field(default=[], description="Overlays beside those of services; `*` is all.")


class SourceRulesSection(Section):
    """`source.rules`: which Compose files are read, in which order."""

    auto_capabilities: bool = Field(default=False, description="Add overlays for what the host can do.")
    base: list[PathInside] = Field(default=[], description="Files that are always read, first.")
    include: list[Text] = Field(
        default=[], description="Patterns of overlays, with `${service}` and `${option}`."
    )


class SourceSection(Section):
    """`source`: the Compose files."""

    rules: Emptied[SourceRulesSection | None] = Field(default=None, description="How they are chosen.")


class EnvSourceSection(Section):
    """`prepare.env.sources[]`: one layer of variables; a later one wins."""

    type: Literal["dotenv", "secrets", "service", "site", "sops", "sys"] = Field(description="Its kind.")
    file: PathInside | None = Field(default=None, description="The file.")
    dir: PathInside | None = Field(default=None, description="A folder with one folder for each service.")
    pattern: Text | None = Field(default=None, description="Name of the file in each of them.")
    optional: bool = Field(default=False, description="It may be missing.")


class EnvSection(Section):
    """`prepare.env`: the layers of variables."""

    sources: list[EnvSourceSection] = Field(default=[], description="From the lowest to the highest.")


class TemplateSection(Section):
    """`prepare.templates[]`: files that are filled with values."""

    from_: Text = Field(alias="from", description="Pattern of the templates, with `${service}`.")
    to: Text = Field(description="Folder of the results, with `${service}`.")


class InterpolationValuesSection(Section):
    """`prepare.interpolation.values`: what templates may use."""

    from_env: bool = Field(default=True, description="The variables of all layers.")
    extra: dict[str, str] = Field(default={}, description="More of them.")


class InterpolationSection(Section):
    """`prepare.interpolation`: how templates are filled."""

    engine: Literal["envsubst", "handlebars"] = Field(default="envsubst", description="Their language.")
    values: Emptied[InterpolationValuesSection | None] = Field(default=None, description="What they may use.")


class PrepareSection(Section):
    """`prepare`: what is made before a deploy."""

    env: Emptied[EnvSection | None] = Field(default=None, description="Layers of variables.")
    templates: list[TemplateSection] = Field(default=[], description="Files that are filled.")
    interpolation: Emptied[InterpolationSection | None] = Field(default=None, description="How.")


class HookSection(Section):
    """`hooks.<point>[]`: a program of the project, run around a stage."""

    type: Literal["container", "routine", "shell"] = Field(default="shell", description="What it is.")
    run: Text | list[Text] = Field(description="A path in the repository, or a program and its arguments.")
    image: Text | None = Field(default=None, description="Image of a container hook.")
    service: ServiceName | None = Field(default=None, description="Only around this service.")
    on_host: bool = Field(default=False, description="On the host itself; needs the operator's leave.")
    timeout: Duration | None = Field(default=None, description="The longest it may take.")
    continue_on_error: bool = Field(default=False, description="Its failure does not fail the stage.")


HookPoint = Literal[
    "before_source",
    "after_source",
    "before_prepare",
    "after_prepare",
    "before_deploy",
    "after_deploy",
    "before_destroy",
    "after_destroy",
]


class StepSection(Section):
    """`<stage>.steps[]`: one action of a stage."""

    action: Annotated[str, Field(pattern=r"^[a-z]+(\.[a-z]+)*$")] = Field(
        description="As in `compose.up` or `net.tunnel.quick`."
    )
    service: ServiceName | None = Field(default=None, description="The service it works on.")
    target: list[Text] | None = Field(default=None, description="What it opens or shows.")
    when: Text | None = Field(default=None, description="Only when this is true, as in `${ENABLE_TUNNEL}`.")
    arguments: dict[str, Any] = Field(default={}, alias="with", description="What the action itself takes.")


class StageSection(Section):
    """`deploy`, `post_deploy`, `destroy`: the steps of a stage, in order."""

    steps: list[StepSection] = Field(default=[], description="Its actions.")
