"""Rendering a commit that no recorded render stands for: drafted, pinned, stored and recorded.

A reference keeps the pin that its environment gave it last. Pins move when a person asks for it or when the
environment's `images.refresh` says so, never because the renderer is another one. That is an event.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from controller.awaiting import ImagesMissingError
from controller.building import pin_of_build
from controller.candidates import RefreshCause, Subject, candidate_of
from controller.decide.deploy import Candidate
from controller.deciding import append_decided
from controller.providers.table import PROVIDERS
from controller.remotes import pinned_remotes, submodules_of
from events.catalog.environment import ImageBuilt, ImagesRefreshed, ManifestRendered, MovedImage
from gitops.config.images import ON_DEPLOY
from gitops.manifest import complete, draft, unpinned
from gitops.pins import keep_pins, resolve_pins
from gitops.renderkey import render_key
from projections.engine.errors import IMAGE_NOT_FOUND

if TYPE_CHECKING:
    from controller.context import Context
    from controller.decide.state import EnvironmentState, Render
    from events.catalog import Event
    from events.manifest import ImagePin, Manifest
    from events.recorder import Recorder
    from gitops.manifest import Draft
    from gitops.pins import Resolution
    from gitops.remotes import Remotes
    from gitops.source.tree import Tree

_GIVEN_VERSION = ".git/version"
"""An input for what is not in the tree; Git lets no tree have this path, so no tree ever matches it."""


@dataclass(slots=True, kw_only=True)
class Rendering:
    """One render on its way into the log."""

    context: Context
    subject: Subject
    state: EnvironmentState
    recorder: Recorder
    refresh: RefreshCause | None
    known: Render | None  # the newest render of this very tree

    async def run(self) -> Candidate:
        """Render, pin, store and record, unless the outcome is known."""
        subject = self.subject
        home, policy = self.context.home, self.context.policy
        with (
            pinned_remotes(home, policy, project=subject.project, environment=subject.environment) as remotes,
            submodules_of(home, subject.submodules, allowed=remotes.allowed) as submodules,
        ):
            whole = subject.tree if submodules is None else await submodules.into(subject.tree)
            return await self._run(whole, remotes)

    async def _run(self, tree: Tree, remotes: Remotes) -> Candidate:
        subject = self.subject
        self.context.progress(f"{self._title}: rendering {subject.revision[:12]}")
        made = await draft(
            tree,
            config_path=subject.config_path,
            environment=subject.environment,
            version=subject.revision,
            given_version=subject.version,
            providers=PROVIDERS,
            remotes=remotes,
        )
        if self.refresh is None and made.image_policy.refresh == ON_DEPLOY:
            self.refresh = "policy"
        manifest = complete(made, await self._pins(made))
        if self.known is not None and self.known.digest == manifest.digest:
            return candidate_of(self.known, revision=subject.revision)
        for content in made.blobs.values():
            self.context.blobs.put(content)
        self.context.blobs.put(manifest.encode())
        await keep_pins(manifest, self.context.catalogue)
        rendered = self._event(made, manifest)
        self._record(rendered, *self._moved(rendered))
        return Candidate(
            digest=rendered.digest,
            services=rendered.services,
            revision=subject.revision,
            version=rendered.version,
        )

    @property
    def _title(self) -> str:
        return f"{self.subject.project}/{self.subject.environment}"

    async def _pins(self, made: Draft) -> dict[str, ImagePin]:
        """A pin for each reference: sticky ones first, then what registries say, then what is built."""
        built = made.built_refs
        kept = {None: set(self.state.pins), "policy": built, "person": set[str]()}[self.refresh]
        sticky = {ref: pin for ref, pin in self.state.pins.items() if ref in kept}
        wanted = {ref: how for ref, how in unpinned(made, sticky).items() if ref not in built}
        clock, lookups = self.context.clock, self.context.lookups
        fresh: dict[str, ImagePin] = {}
        if self.refresh is None:
            fresh = lookups.known(self.subject.revision, wanted, now=clock.monotonic())
        found = await resolve_pins(
            wanted, sticky=fresh, catalogue=self.context.catalogue, known=self.state.pins
        )
        lookups.remember(self.subject.revision, wanted, found.pins, now=clock.monotonic())
        _raise_failures(made, found)
        pins = {**sticky, **found.pins}
        for build in made.builds.values():
            if build.ref not in pins:
                pins[build.ref] = await pin_of_build(
                    self.context,
                    build,
                    tree=made.tree,
                    revision=self.subject.revision,
                    title=self._title,
                    record=self._record_built,
                )
        return pins

    def _event(self, made: Draft, manifest: Manifest) -> ManifestRendered:
        given = {} if self.subject.version is None else {_GIVEN_VERSION: self.subject.version}
        inputs = {**made.inputs, **given}
        return ManifestRendered(
            digest=manifest.digest,
            revision=self.subject.revision,
            version=made.version,
            render_key=render_key(inputs, made.renderer),
            inputs=inputs,
            renderer=made.renderer,
            services=manifest.service_hashes(),
            images=manifest.images(),
            findings=tuple(str(finding) for finding in made.findings),
            unset_variables=made.unset_variables,
            refresh=made.image_policy.refresh,
            drift=made.drift,
            conduct=made.conduct,
        )

    def _moved(self, rendered: ManifestRendered) -> tuple[ImagesRefreshed, ...]:
        """That pins were moved, when some were."""
        before = self.state.pins
        moved = {
            pin.ref: MovedImage(ref=pin.ref, before=before[pin.ref].pin, now=pin.pin)
            for pin in rendered.images.values()
            if pin.ref in before and before[pin.ref].pin != pin.pin
        }
        if not moved or self.refresh is None:
            return ()
        return (
            ImagesRefreshed(
                digest=rendered.digest,
                replaces=None if self.known is None else self.known.digest,
                moved=tuple(one for _ref, one in sorted(moved.items())),
                cause=self.refresh,
            ),
        )

    def _record_built(self, built: ImageBuilt) -> None:
        self._record(built)

    def _record(self, *events: Event) -> None:
        """A render depends on the tree and on the pins it was given, which only another render could move."""
        append_decided(self.context, self._title, lambda _: events, recorder=self.recorder)


def _raise_failures(made: Draft, found: Resolution) -> None:
    """Raise what is wrong with the references, worst first; only images that CI pushes may be waited for."""
    missing = {
        ref: error
        for ref, error in found.failures.items()
        if ref in made.awaited and error.code == IMAGE_NOT_FOUND
    }
    others = {ref: error for ref, error in found.failures.items() if ref not in missing}
    for _ref, error in sorted(others.items()):
        raise error
    if missing:
        raise ImagesMissingError.of(missing, wait_seconds=made.image_policy.wait_seconds)
