"""Whether an export is what it says: its bytes, its chain, its seals. Needs the file, and keys to trust.

Everything is reckoned anew: each record is written once more and compared, its digests are made from what it
says, and the chain is followed from the first record to the last (`events/export_walk.py`), and on over the
bridge to a seal. A key is trusted because it was given, or because one that is trusted handed over to it.

What a file cannot prove is told as well: an end that no seal covers may have been another one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from events.ed25519 import is_signature, key_id_of
from events.export_walk import FoundError, Problem, Walk
from events.seals import Seal, is_handed_over

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from events.ed25519 import PublicKeys
    from events.export_manifest import Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a file vouches for."""

    problem: Problem | None
    manifest: Manifest | None  # None: the file has none that can be read
    first: int | None  # the events that are as they were: from here
    last: int | None  # to here; None: none
    sealed_to: int | None  # the last event that a seal covers; None: no seal was checked, or none covers any
    seal: Seal | None  # the one that reaches furthest
    signed_by: str | None  # the trusted key that vouches for the file as a whole; None: none does

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong with it."""
        return self.problem is None

    def as_json(self) -> dict[str, Any]:
        """The object of `audit verify-export --json`; its keys are a published contract."""
        known = self.manifest
        return {
            "ok": self.ok,
            "from": self.first,
            "to": self.last,
            "sealed_to": self.sealed_to,
            "problem": None if self.problem is None else self.problem.as_json(),
            "log_id": known and known.log_id,
            "lineage": known and known.lineage,
            "count": known and known.count,
            "head": known and known.head,
            "exported_at": known and known.exported_at,
            "names": known is not None and known.names is not None,
            "sealed_at": self.seal and self.seal.at,
            "sealed_by": self.seal and self.seal.key_id,
            "signed_by": self.signed_by,
        }


def check_export(path: Path, *, keys: PublicKeys | None = None, seals: Sequence[Seal] = ()) -> Verdict:
    """Check the file. `keys` are trusted, None: no signature is looked at; `seals` come from elsewhere.

    Raises OSError, and OutsideError `export-too-new`.
    """
    check = _Check(walk=Walk(path=path), keys=keys, given=seals)
    problem: Problem | None = None
    try:
        check.run()
    except FoundError as found:
        problem = found.problem
    walk = check.walk
    good = walk.count > 0
    return Verdict(
        problem=problem,
        manifest=walk.manifest,
        first=walk.first if good else None,
        last=walk.first + walk.count - 1 if good else None,
        sealed_to=check.sealed_to,
        seal=check.seal,
        signed_by=check.signed_by,
    )


@dataclass(slots=True, kw_only=True)
class _Check:
    """One check of one file."""

    walk: Walk
    keys: PublicKeys | None
    given: Sequence[Seal]
    sealed_to: int | None = None
    seal: Seal | None = None
    signed_by: str | None = None
    _trusted: dict[str, bytes] = field(default_factory=dict[str, bytes])

    def run(self) -> None:
        """Raise FoundError for the first thing that is wrong."""
        self.walk.go()
        manifest = self.walk.manifest
        if manifest is None:  # the walk would have raised
            return
        self._trusted = dict(self.keys or {})
        for data in self.walk.rotations:
            self._follow_key(data)
        self._check_signature(manifest)
        self._check_seals_inside(manifest)
        self._check_seals_given(manifest)
        if self.keys is not None and self.sealed_to is None and self.signed_by is None:
            detail = "neither a seal nor the file is signed by a key that is trusted"
            raise FoundError("seal", self.walk.first, detail)

    def _follow_key(self, data: bytes) -> None:
        """Trust a key that a trusted one handed over to."""
        try:
            told: dict[str, Any] = json.loads(data)
            former, key = self._trusted.get(told["former"]), bytes.fromhex(told["public_key"])
            if former is not None and is_handed_over(former, key, told["signature"]):
                self._trusted[key_id_of(key)] = key
        except (ValueError, KeyError, TypeError):
            return  # it hands nothing over

    def _check_signature(self, manifest: Manifest) -> None:
        """The signature over the whole file; one by a key that is not trusted says nothing."""
        signature = manifest.signature
        key = None if signature is None else self._trusted.get(signature.key_id)
        if signature is None or key is None:
            return
        if not is_signature(key, signature.signature, manifest.signed_bytes()):
            detail = f"the signature of key {signature.key_id} does not fit the file"
            raise FoundError("manifest", None, detail)
        self.signed_by = signature.key_id

    def _check_seals_inside(self, manifest: Manifest) -> None:
        """The seals that the file has; those of a log that it was forked from speak of another chain."""
        own = [] if manifest.seal is None else [Seal(**manifest.seal.model_dump())]
        for seal in (*self.walk.seals, *own):
            if seal.log_id == manifest.log_id and self._is_trusted(seal):
                self._compare(seal, manifest)

    def _check_seals_given(self, manifest: Manifest) -> None:
        """The seals from elsewhere; without keys they are believed, because they were kept elsewhere."""
        given = [seal for seal in self.given if seal.log_id == manifest.log_id]
        if self.given and not given:
            detail = f"the seal is of log {self.given[-1].log_id}, the file is of another one"
            raise FoundError("seal", None, detail)
        for seal in given:
            if self.keys is not None and not self._is_trusted(seal):
                detail = f"the seal of position {seal.position} is signed by no key that is trusted"
                raise FoundError("seal", None, detail)
            if not self._compare(seal, manifest) and seal.position > manifest.last:
                detail = f"a seal covers the log up to {seal.position}; the file ends at {manifest.last}"
                raise FoundError("tail", manifest.last + 1, detail)

    def _is_trusted(self, seal: Seal) -> bool:
        key = self._trusted.get(seal.key_id)
        return key is not None and seal.is_signed_by(key)

    def _compare(self, seal: Seal, manifest: Manifest) -> bool:
        """Whether the chain reaches to the place of a seal; the hash must be the same there."""
        reached = self.walk.hash_at(seal.position)
        if reached is None:
            return False
        if reached.hex() != seal.hash:
            detail = f"a seal of {seal.at} says another hash for position {seal.position}"
            raise FoundError("rewrite", min(seal.position, manifest.last), detail)
        if self.seal is None or seal.position >= self.seal.position:
            self.seal, self.sealed_to = seal, min(seal.position, manifest.last)
        return True
