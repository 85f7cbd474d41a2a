"""Exports: what stands in them, and that nothing in them can be changed unseen."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from events.catalog.log import SealedState, SealKeyRotated, SealMade
from events.chain import chained
from events.ed25519 import PublicKeys, SigningKey
from events.envelope import Actor
from events.export import Export, Range, chosen_range, signed
from events.export_check import Verdict, check_export
from events.export_manifest import Manifest, read_manifest
from events.export_record import COLUMNS, Form, Record, decode, encode
from events.kernel.canonical import sha256_digest
from events.kernel.errors import OutsideError, UserError
from events.log import Anchor, EventLog, LogRow, StreamAppend
from events.memory import MemoryEventLog
from events.recorder import Recorder
from events.seals import Seal, handed_over
from events.streams import LOG_STREAM
from tests.contract.event_log import A, proposed
from tests.unit.projections.views.history import History

KEY, OTHER_KEY = SigningKey.new(), SigningKey.new()
KEYS: PublicKeys = {KEY.id: KEY.public}
NAMES = {"act-0123456789ab": 'Ann, "the" operator', "act-00000000000b": "Büşra"}
FORMS: tuple[Form, ...] = ("jsonl", "csv")


class Scene:
    """A log that can be sealed and exported."""

    def __init__(self) -> None:
        self.log: EventLog = MemoryEventLog()
        self.history = History(self.log)
        self.history.actor = Actor(kind="cli", id="act-0123456789ab")

    def data(self, content: bytes) -> None:
        self.log.append([StreamAppend(stream=A, events=(proposed(content),))])

    def record(self, event: SealMade | SealKeyRotated) -> None:
        recorder = Recorder(
            log=self.log, ids=self.history.ids, clock=self.history.clock, actor=self.history.actor
        )
        recorder.append(LOG_STREAM, event)

    def seal(self, key: SigningKey = KEY) -> Seal:
        here = self.log.anchor()
        unsigned = Seal(
            log_id=here.log_id,
            lineage=here.lineage,
            position=here.position,
            hash=here.hash.hex(),
            at="2026-01-02T03:04:05.000Z",
            key_id="",
            signature="",
        )
        seal = unsigned.signed(key)
        self.record(SealMade(seal=SealedState(**seal.as_json())))
        return seal

    def export(
        self,
        form: Form = "jsonl",
        *,
        first: int = 1,
        last: int = 0,
        names: bool = False,
        key: SigningKey | None = None,
    ) -> bytes:
        wanted = Range(first=first, last=last or self.log.head())
        name_of = NAMES.get if names else None
        export = Export(
            log=self.log, wanted=wanted, form=form, exported_at="2026-01-03", name_of=name_of, key=key
        )
        return b"".join(export.lines())


@pytest.fixture
def scene() -> Iterator[Scene]:
    """Six events, a seal of them, and one more."""
    made = Scene()
    made.history.deployed("a")
    made.data(b'{"text":"\\u00e9 \\"quoted\\", and \xc3\xa9"}')
    made.data(b"\xff no text\n")
    made.seal()
    made.history.suspended()
    yield made
    made.log.close()


@pytest.fixture
def check(tmp_path: Path) -> Callable[..., Verdict]:
    """Checks a content as a file."""

    def checked(content: bytes, keys: PublicKeys | None = KEYS, *seals: Seal) -> Verdict:
        path = tmp_path / "export"
        path.write_bytes(content)
        return check_export(path, keys=keys, seals=seals)

    return checked


Check = Callable[..., Verdict]


def found(verdict: Verdict) -> tuple[str, int | None]:
    assert verdict.problem is not None
    return verdict.problem.kind, verdict.problem.position


def records(content: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in content.splitlines()]


def test_an_event_stands_in_it_under_the_names_of_cloudevents_with_its_stored_bytes(scene: Scene) -> None:
    lines = scene.export().splitlines()
    row = scene.log.rows()[4]
    told = json.loads(lines[4])
    assert told.pop("data") == json.loads(row.data)
    assert lines[4].endswith(b',"data":' + row.data + b"}")
    assert row.data_hash is not None
    assert row.leaf is not None
    assert row.hash is not None
    stored = scene.log.read(after=4, limit=1)[0]
    assert told == {
        "specversion": "1.0",
        "id": str(stored.id),
        "source": f"urn:stagecraft:log:{scene.log.anchor().log_id}",
        "type": "Tested",
        "subject": "environment/shop/prod",
        "time": "2026-01-02T03:04:05.678901Z",
        "position": 5,
        "version": stored.version,
        "schema": 1,
        "actor": "cli:act-0123456789ab",
        "correlationid": str(stored.correlation),
        "datahash": row.data_hash.hex(),
        "leafhash": row.leaf.hex(),
        "hash": row.hash.hex(),
        "datacontenttype": "application/json",
    }
    assert "data_base64" in records(scene.export())[5]


@pytest.mark.parametrize("form", FORMS)
def test_a_record_is_read_as_the_row_that_it_was(scene: Scene, form: Form) -> None:
    log_id = scene.log.anchor().log_id
    for row in scene.log.rows():
        record = Record(row=row, name='Ann, "x"')
        assert decode(encode(record, log_id=log_id, form=form), log_id=log_id, form=form) == record


def test_a_table_opens_with_any_reader_of_csv(scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_bytes(scene.export("csv", names=True))
    with (tmp_path / "log.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert [row["position"] for row in rows] == [*(str(one.position) for one in scene.log.rows()), ""]
    assert rows[0]["actorname"] == NAMES["act-0123456789ab"]
    assert json.loads(rows[4]["data"]) == {"text": 'é "quoted", and é'}
    assert rows[-1]["type"] == "stagecraft.export.manifest"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("signed_with", [None, KEY])
def test_a_whole_export_is_sealed_as_far_as_its_seals_reach(
    scene: Scene, check: Check, form: Form, signed_with: SigningKey | None
) -> None:
    verdict = check(scene.export(form, key=signed_with))
    told = verdict.as_json()
    assert (told["ok"], told["from"], told["to"], told["sealed_to"], told["problem"]) == (True, 1, 8, 6, None)
    assert told["signed_by"] == (signed_with and KEY.id)
    assert told["count"] == 8


@pytest.mark.parametrize("form", FORMS)
def test_a_part_is_proved_by_a_seal_behind_it(scene: Scene, check: Check, form: Form) -> None:
    verdict = check(scene.export(form, first=2, last=4))
    assert verdict.problem is None
    assert (verdict.first, verdict.last, verdict.sealed_to) == (2, 4, 4)
    assert verdict.manifest is not None
    assert len(verdict.manifest.bridge) == 2


def test_without_a_key_nothing_is_said_of_seals(scene: Scene, check: Check) -> None:
    verdict = check(scene.export(key=KEY), None)
    assert (verdict.ok, verdict.sealed_to, verdict.signed_by) == (True, None, None)


def test_names_are_handed_over_only_when_asked_for_and_as_far_as_they_are_known(scene: Scene) -> None:
    scene.history.actor = Actor(kind="cli", id="act-ffffffffffff")
    scene.history.suspended()
    assert b"Ann" not in scene.export()
    told = records(scene.export(names=True))
    assert told[0]["actorname"] == NAMES["act-0123456789ab"]
    assert "actorname" not in told[-2]
    assert told[-1]["data"]["names"] == {"act-0123456789ab": NAMES["act-0123456789ab"]}


def test_names_of_people_that_data_speak_of_are_in_the_manifest(scene: Scene) -> None:
    scene.data(b'{"author":"act-00000000000b"}')
    assert records(scene.export(names=True))[-1]["data"]["names"]["act-00000000000b"] == "Büşra"


def test_a_range_that_has_no_event_is_refused(scene: Scene) -> None:
    assert chosen_range(scene.log, after=3, upto=99) == Range(first=4, last=8)
    with pytest.raises(UserError) as raised:
        chosen_range(scene.log, after=8, upto=99)
    assert raised.value.code == "export-empty"


_SCENE = Scene()
_SCENE.history.suspended()
_SCENE.data(b"\xff")
_SCENE.seal()
_WHOLE = {form: _SCENE.export(form, names=True, key=KEY) for form in FORMS}


@pytest.mark.parametrize("form", FORMS)
@given(place=st.floats(0, 1, exclude_max=True), line=st.integers(0, 4), mask=st.integers(1, 255))
def test_no_byte_can_be_changed_unseen(
    tmp_path_factory: pytest.TempPathFactory, form: Form, place: float, line: int, mask: int
) -> None:
    content = bytearray(_WHOLE[form])
    lines = content.splitlines(keepends=True)
    chosen = min(line, len(lines) - 1)
    start = sum(len(one) for one in lines[:chosen])
    content[start + int(place * len(lines[chosen]))] ^= mask
    path = tmp_path_factory.getbasetemp() / f"changed.{form}"
    path.write_bytes(content)
    verdict = check_export(path, keys=KEYS)
    assert not verdict.ok
    position = verdict.problem and verdict.problem.position
    of_record = chosen < len(lines) - 1 and not (form == "csv" and chosen == 0)
    if of_record and content.count(b"\n") == len(lines):
        assert position == chosen + (1 if form == "jsonl" else 0)


@pytest.mark.parametrize("form", FORMS)
def test_a_file_that_was_cut_off_anywhere_is_told(check: Check, form: Form) -> None:
    content = _WHOLE[form]
    for length in range(0, len(content), 97):
        verdict = check(content[:length])
        assert not verdict.ok
        kind, position = found(verdict)
        assert kind in {"tail", "all", "manifest"} or position in {None, 1, 2, 3, 4}


Lines = list[bytes]
MOVED: list[tuple[Callable[[Lines], Lines], str, int]] = [
    (lambda lines: [*lines[:3], *lines[4:]], "drop", 4),
    (lambda lines: lines[1:], "drop", 1),
    (lambda lines: [*lines[:2], lines[3], lines[2], *lines[4:]], "swap", 3),
    (lambda lines: [*lines[:4], lines[3], *lines[4:]], "swap", 5),
    (lambda lines: [*lines[:6], lines[-1]], "tail", 7),
    (lambda lines: lines[:6], "tail", 7),
    (lambda lines: lines[-1:], "all", 1),
    (lambda lines: [*lines[:-1], lines[-2]], "swap", 9),
]


@pytest.mark.parametrize(("change", "kind", "position"), MOVED)
def test_lines_that_are_missing_or_elsewhere_are_named(
    scene: Scene, check: Check, change: Callable[[Lines], Lines], kind: str, position: int
) -> None:
    lines = scene.export().splitlines(keepends=True)
    assert found(check(b"".join(change(lines)))) == (kind, position)


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        (b'"reason":"moving"', b'"reason":"mining"', "edit"),
        (b'"subject":"environment/shop/prod"', b'"subject":"environment/shop/test"', "edit"),
        (b'"time":"2026-01-02T03:0', b'"time":"2026-01-02T03:1', "edit"),
        (b'"actor":"cli:act-0123456789ab"', b'"actor":"cli:act-0123456789ac"', "actor"),
        (b'"specversion":"1.0"', b'"specversion":"1.1"', "edit"),
        (b'"data":{', b'"data": {', "edit"),
    ],
)
def test_what_was_changed_in_an_event_is_told(
    scene: Scene, check: Check, old: bytes, new: bytes, kind: str
) -> None:
    *lines, changed, last = scene.export().splitlines(keepends=True)
    assert old in changed
    verdict = check(b"".join([*lines, changed.replace(old, new), last]))
    assert found(verdict) == (kind, 8)


def forged(content: bytes, change: Callable[[LogRow], LogRow], *, key: SigningKey | None = None) -> bytes:
    """An export by somebody who changed rows and reckoned every digest anew."""
    *lines, last = content.splitlines(keepends=True)
    manifest = read_manifest(last)
    previous, made = bytes.fromhex(manifest.before), list[bytes]()
    for line in lines:
        record = decode(line, log_id=manifest.log_id, form="jsonl")
        row = change(record.row)
        digests = chained(
            previous=previous,
            position=row.position,
            event_id=row.event_id,
            stream=row.stream,
            version=row.version,
            type_name=row.type,
            schema=row.schema,
            at_us=row.at_us,
            actor=row.actor,
            correlation=row.correlation,
            causation=row.causation,
            data=row.data,
        )
        previous = digests.hash
        row = row._replace(data_hash=digests.data_hash, leaf=digests.leaf, hash=digests.hash)
        made.append(encode(Record(row=row, name=record.name), log_id=manifest.log_id, form="jsonl"))
    told = manifest.model_copy(update={"after": previous.hex(), "content": sha256_digest(b"".join(made))})
    told = told.model_copy(update={"signature": None}) if key is None else signed(told, key)
    return b"".join([*made, told.line()])


def test_a_change_by_somebody_who_reckons_every_digest_anew_is_found_by_the_seal(
    scene: Scene, check: Check
) -> None:
    content = scene.export(key=KEY)
    as_it_is = forged(content, lambda row: row)
    assert check(as_it_is).ok
    changed = forged(content, lambda row: row._replace(data=b"{}") if row.position == 2 else row)
    assert check(changed, None).ok  # nothing but a key tells
    assert found(check(changed)) == ("rewrite", 6)
    behind = forged(content, lambda row: row._replace(actor="cli:act-2") if row.position == 8 else row)
    verdict = check(behind)
    assert (verdict.ok, verdict.sealed_to, verdict.signed_by) == (True, 6, None)  # and that is what it says
    assert (
        found(check(forged(content, lambda row: row, key=OTHER_KEY), {OTHER_KEY.id: b"x" * 32}))[0]
        == "manifest"
    )


def test_names_cannot_be_exchanged_under_a_signature(scene: Scene, check: Check) -> None:
    *lines, last = scene.export(names=True, key=KEY).splitlines(keepends=True)
    manifest = read_manifest(last)
    assert manifest.names is not None
    other = [line.replace(b"Ann", b"Eve") for line in lines]
    names = {one: name.replace("Ann", "Eve") for one, name in manifest.names.items()}
    told = manifest.model_copy(update={"names": names, "content": sha256_digest(b"".join(other))})
    assert found(check(b"".join([*other, told.line()]))) == ("manifest", None)
    assert found(check(b"".join([*other, last]))) == ("actor", 1)


def test_a_key_that_vouches_for_nothing_is_no_proof(scene: Scene, check: Check) -> None:
    wrong: PublicKeys = {OTHER_KEY.id: OTHER_KEY.public}
    assert found(check(scene.export(key=KEY), wrong)) == ("seal", 1)
    unsealed = Scene()
    unsealed.history.suspended()
    assert found(check(unsealed.export())) == ("seal", 1)
    assert check(unsealed.export(key=KEY)).ok


def test_a_key_that_a_trusted_one_handed_over_to_is_trusted(scene: Scene, check: Check) -> None:
    told = {
        "key_id": OTHER_KEY.id,
        "public_key": OTHER_KEY.public.hex(),
        "former": KEY.id,
        "reason": "yearly",
    }
    scene.record(SealKeyRotated(**told, signature=handed_over(KEY, OTHER_KEY.public)))
    scene.seal(OTHER_KEY)
    verdict = check(scene.export(key=OTHER_KEY))
    assert (verdict.sealed_to, verdict.signed_by) == (9, OTHER_KEY.id)
    stolen = Scene()
    stolen.record(SealKeyRotated(**told, signature=handed_over(OTHER_KEY, OTHER_KEY.public)))
    stolen.seal(OTHER_KEY)
    assert found(check(stolen.export(key=OTHER_KEY))) == ("seal", 1)


def test_seals_from_elsewhere_are_held_against_it(scene: Scene, check: Check) -> None:
    content = scene.export(key=KEY)
    newest = scene.seal()
    assert check(scene.export(), KEYS, newest).sealed_to == 8
    assert check(content, KEYS, newest).sealed_to == 8
    later = scene.seal()
    verdict = check(content, KEYS, newest, later)
    assert found(verdict) == ("tail", 9)
    unsigned = replace(newest, signature="00")
    assert found(check(content, KEYS, unsigned))[0] == "seal"
    assert found(check(content, None, replace(newest, hash="00" * 32))) == ("rewrite", 8)
    other = Scene()
    other.history.suspended()
    assert found(check(content, KEYS, other.seal())) == ("seal", None)


class Changed(MemoryEventLog):
    """Shows another log, with one row that somebody wrote over."""

    def __init__(self, shown: EventLog) -> None:
        super().__init__()
        self._shown = shown

    @override
    def rows(self, *, after: int = 0, limit: int | None = None) -> list[LogRow]:
        found = self._shown.rows(after=after, limit=limit)
        return [row._replace(actor="cli:act-2") if row.position == 3 else row for row in found]

    @override
    def anchor(self, position: int | None = None) -> Anchor:
        return self._shown.anchor(position)

    @override
    def head(self) -> int:
        return self._shown.head()


def test_an_export_of_a_log_that_was_changed_says_where(scene: Scene, check: Check) -> None:
    log = Changed(scene.log)
    export = Export(log=log, wanted=Range(first=1, last=8), form="jsonl", exported_at="now", key=KEY)
    verdict = check(b"".join(export.lines()))
    assert export.unfit == 3
    assert found(verdict) == ("actor", 3)
    assert (verdict.first, verdict.last) == (1, 2)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"\xff\xfe\x00",
        b"{}\n",
        b'{"type":"x"}\n',
        b"[" * 100_000,
        b"a,b\n",
        b'"' * 1000,
        b"{\n" * 50,
    ],
)
def test_what_is_no_export_is_said_to_be_none(check: Check, content: bytes) -> None:
    verdict = check(content)
    assert not verdict.ok
    assert (verdict.first, verdict.last, verdict.manifest) == (None, None, None)


def test_an_export_of_a_newer_version_is_refused(scene: Scene, check: Check) -> None:
    *lines, last = scene.export().splitlines(keepends=True)
    newer: Manifest = read_manifest(last).model_copy(update={"version": 2})
    with pytest.raises(OutsideError) as raised:
        check(b"".join([*lines, newer.line()]))
    assert raised.value.code == "export-too-new"


@pytest.mark.parametrize("form", FORMS)
def test_large_data_are_no_obstacle(check: Check, form: Form) -> None:
    scene = Scene()
    scene.data(b'"' + b"x" * 300_000 + b'"')
    scene.data(b"\n" * 200_000)
    assert check(scene.export(form, key=KEY)).ok
