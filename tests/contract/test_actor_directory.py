"""The promises of the directory of actors, proven of each adapter."""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from events.actors import (
    ACTORS_TOO_NEW,
    ACTORS_UNAVAILABLE,
    ActorDirectory,
    MemoryActorDirectory,
    SqliteActorDirectory,
)
from events.kernel.errors import OutsideError


@pytest.fixture(params=["memory", "sqlite"])
def actors(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[ActorDirectory]:
    made: ActorDirectory = (
        MemoryActorDirectory() if request.param == "memory" else SqliteActorDirectory(tmp_path / "actors.db")
    )
    yield made
    made.close()


def test_a_person_keeps_their_pseudonym(actors: ActorDirectory) -> None:
    first = actors.pseudonym("git", "Ann", "ann@example.org")
    actors.pseudonym("git", "Bob", "bob@example.org")
    assert actors.pseudonym("git", "Ann", "ann@example.org") == first
    assert first.kind == "git"


def test_a_name_leads_to_all_ids_behind_which_it_stands(actors: ActorDirectory) -> None:
    known = [actors.pseudonym("git", "Ann", "ann@example.org"), actors.pseudonym("cli", "Ann")]
    actors.pseudonym("cli", "Bob")
    assert actors.ids_of("Ann") == tuple(sorted(one.id for one in known))
    assert actors.ids_of("Carl") == ()
    actors.erase(known[0].id)
    assert actors.ids_of("Ann") == (known[1].id,)


def test_a_pseudonym_is_random_and_says_nothing_of_the_person(actors: ActorDirectory) -> None:
    actor = actors.pseudonym("cli", "Ann", "ann@example.org")
    prefix, _, digits = actor.id.partition("-")
    assert (prefix, len(digits)) == ("act", 12)
    assert set(digits) <= set("0123456789abcdef")
    assert MemoryActorDirectory().pseudonym("cli", "Ann", "ann@example.org").id != actor.id


def test_kind_name_and_address_tell_persons_apart(actors: ActorDirectory) -> None:
    people = [
        actors.pseudonym("git", "Ann", "a@example.org"),
        actors.pseudonym("cli", "Ann", "a@example.org"),
        actors.pseudonym("git", "ann", "a@example.org"),
        actors.pseudonym("git", "Ann", "b@example.org"),
        actors.pseudonym("git", "Ann"),
    ]
    assert len({actor.id for actor in people}) == 5
    assert [actors.name_of(actor.id) for actor in people] == ["Ann", "Ann", "ann", "Ann", "Ann"]


def test_an_unknown_pseudonym_has_no_name(actors: ActorDirectory) -> None:
    assert actors.name_of("act-000000000000") is None
    assert actors.name_of("controller") is None


def test_an_erased_name_is_gone_and_the_person_comes_back_as_somebody_new(actors: ActorDirectory) -> None:
    ann, bob = actors.pseudonym("git", "Ann"), actors.pseudonym("git", "Bob")
    actors.erase(ann.id)
    assert (actors.name_of(ann.id), actors.name_of(bob.id)) == (None, "Bob")
    assert actors.pseudonym("git", "Ann").id not in {ann.id, bob.id}
    actors.erase(ann.id)
    actors.erase("act-000000000000")


def test_threads_that_meet_a_person_at_once_agree(actors: ActorDirectory) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(actors.pseudonym, ["git"] * 48, ["P1", "P2", "P3"] * 16))
    assert len(set(found)) == 3


def test_names_stay_over_close_and_open(tmp_path: Path) -> None:
    path = tmp_path / "home" / "actors.db"
    first = SqliteActorDirectory(path)
    ann = first.pseudonym("git", "Ann", "ann@example.org")
    first.close()
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert path.stat().st_mode & 0o777 == 0o600
    again = SqliteActorDirectory(path)
    assert again.name_of(ann.id) == "Ann"
    assert again.pseudonym("git", "Ann", "ann@example.org") == ann
    again.close()
    with pytest.raises(OutsideError) as raised:
        again.name_of(ann.id)
    assert raised.value.code == ACTORS_UNAVAILABLE


def test_two_openers_that_meet_a_person_agree(tmp_path: Path) -> None:
    one, two = (SqliteActorDirectory(tmp_path / "actors.db") for _ in range(2))
    with ThreadPoolExecutor(2) as pool:
        for number in range(20):
            ids = [pool.submit(actors.pseudonym, "git", f"P{number}") for actors in (one, two)]
            assert ids[0].result() == ids[1].result()
    one.close()
    two.close()


def test_an_erased_name_is_not_in_the_file_any_more(tmp_path: Path) -> None:
    path = tmp_path / "actors.db"
    actors = SqliteActorDirectory(path)
    names = [f"Ann-{number}-of-the-Vale" for number in range(200)]
    people = [actors.pseudonym("git", name, f"{name}@example.org") for name in names]
    for actor in people[::2]:
        actors.erase(actor.id)
    content = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert names[1].encode() in content
    for name in names[::2]:
        assert name.encode() not in content
    actors.close()


def test_the_file_of_a_newer_stagecraft_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "actors.db"
    SqliteActorDirectory(path).close()
    with path.open("r+b") as file:
        file.seek(60)  # user_version, in the header of a SQLite file
        file.write((2).to_bytes(4, "big"))
    with pytest.raises(OutsideError) as raised:
        SqliteActorDirectory(path)
    assert raised.value.code == ACTORS_TOO_NEW
