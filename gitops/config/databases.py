"""`databases` and `migrations`: where, when and how a schema changes.

`databases` says of each database where it is and when its migrations run; `migrations` says what they are.
A selection at the root counts for every database that has none of its own.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from gitops.config.scalars import Name, PathInside, Text, VariableName
from gitops.config.section import Emptied, Section


def _none_is_empty(value: Any) -> Any:  # noqa: ANN401  # whatever YAML gave
    return [] if value is None else value


def _sorted_once(texts: list[str]) -> list[str]:
    """Trimmed and sorted. Raises ValueError for one that is given twice."""
    trimmed = [text.strip() for text in texts]
    if len(set(trimmed)) < len(trimmed):
        raise ValueError("a value is given twice")
    return sorted(trimmed)


Names = Annotated[list[Text], BeforeValidator(_none_is_empty), AfterValidator(_sorted_once)]
Paths = Annotated[list[PathInside], BeforeValidator(_none_is_empty), AfterValidator(_sorted_once)]


class DatabaseMigrationsSection(Section):
    """`databases.<name>.migrations`: what is run against this database, and when."""

    engine: Name = Field(default="raw", description="What runs them.")
    path: PathInside = Field(description="Folder with the migrations.")
    strategy: Literal["manual", "post_deploy", "pre_deploy"] = Field(
        default="pre_deploy", description="Before the containers change, after it, or by hand."
    )


class DatabaseSection(Section):
    """`databases.<name>`: a database of the app."""

    connection_env: VariableName = Field(description="Variable with its address; the value is a secret.")
    migrations: DatabaseMigrationsSection | None = Field(default=None, description="How its schema changes.")


class MigrationSourcesSection(Section):
    """`migrations.sources`: where migrations stand; both keys add up."""

    raw_sql_dir: PathInside | None = Field(default=None, description="Folder of SQL files.")
    raw_sql_files: Paths = Field(default=[], description="Single SQL files.")


class MigrationSelectionSection(Section):
    """`migrations.selection`: which of them are run."""

    all: bool = Field(default=False, description="All of them; excludes the other two.")
    ids: Names = Field(default=[], description="By id, which is the file's name.")
    tags: Names = Field(default=[], description="By tag.")

    @model_validator(mode="after")
    def _all_stands_alone(self) -> Self:
        if self.all and (self.ids or self.tags):
            raise ValueError("'all' cannot stand beside 'ids' or 'tags'")
        return self


class MigrationsOverSection(Section):
    """`migrations.env.<name>`: what is different in one environment; each key replaces the whole."""

    enabled: bool | None = Field(default=None, description="Whether migrations are run.")
    default_engine: Name | None = Field(default=None, description="What runs them.")
    sources: MigrationSourcesSection | None = Field(default=None, description="Where they stand.")
    selection: MigrationSelectionSection | None = Field(default=None, description="Which are run.")
    engine_config: dict[Name, dict[str, Any]] | None = Field(
        default=None, description="By engine: settings that the engine checks."
    )


class MigrationsSection(Section):
    """`migrations`: how schemas change."""

    enabled: bool = Field(default=True, description="Whether migrations are run.")
    default_engine: Name | None = Field(default=None, description="What runs them; needed when enabled.")
    sources: Emptied[MigrationSourcesSection | None] = Field(default=None, description="Where they stand.")
    selection: Emptied[MigrationSelectionSection | None] = Field(default=None, description="Which are run.")
    engine_config: dict[Name, dict[str, Any]] = Field(
        default={}, description="By engine: settings that the engine checks."
    )
    env: dict[Name, MigrationsOverSection] = Field(default={}, description="By environment.")

    @model_validator(mode="after")
    def _enabled_needs_an_engine(self) -> Self:
        if self.enabled and self.default_engine is None:
            raise ValueError("'default_engine' is missing; it is needed unless 'enabled' is false")
        return self
