"""Env files of a host: names and keyed digests come out, values do not."""

from __future__ import annotations

import pytest

from events.hostenv import (
    HOST_ENV_INVALID,
    HostEnvFile,
    combined_digest,
    host_env_files,
    keyed_digest,
    learn_secrets,
    refuse_settings,
    values_of,
    variable_digests,
)
from events.kernel.errors import UserError
from events.kernel.redact import Redactor

FILE = HostEnvFile(path="/etc/platform/env")
RAW = HostEnvFile(path="/etc/platform/env", raw=True)


def test_names_and_values_are_read_as_people_write_them() -> None:
    content = b"# one\n\nA=1\nexport B = two \nC='x # y'\nD=\"a\nb\"\nE=\nF.G=$x\n"
    assert values_of(content, FILE) == {
        "A": "1",
        "B": "two",
        "C": "x # y",
        "D": "a\nb",
        "E": "",
        "F.G": "$x",
    }


def test_raw_lines_are_what_they_are() -> None:
    assert values_of(b"A='\nB=x\"\n", RAW) == {"A": "'", "B": 'x"'}


@pytest.mark.parametrize(
    "content",
    [
        b"root:$6$salt$hash:19000:0:99999:7:::\n",
        b"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\n",
        b'{"auths": {"registry": {"auth": "c2VjcmV0"}}}',
        b"[default]\naws_secret = hunter2",
        b"A=1\nsecret words\n",
        b"A='never closed\nhunter2\n",
        b"A=\xff\xfe",
        b"A=1\0B=2\0",
    ],
)
def test_what_is_no_env_file_is_refused_without_a_word_of_it(content: bytes) -> None:
    with pytest.raises(UserError) as caught:
        values_of(content, FILE)
    assert caught.value.code == HOST_ENV_INVALID
    text = f"{caught.value}{caught.value.why}{caught.value.next}{caught.value!r}"
    for word in ("hash", "b3Blb", "c2Vjc", "hunter2", "secret words"):
        assert word not in text


def test_a_digest_says_whether_something_changed_and_nothing_else() -> None:
    key, other = b"k" * 32, b"o" * 32
    before = keyed_digest({"/a": b"P=1"}, key)
    assert keyed_digest({"/a": b"P=1"}, key) == before
    others = [
        keyed_digest({"/a": b"P=2"}, key),
        keyed_digest({"/b": b"P=1"}, key),
        keyed_digest({"/a": None}, key),
        keyed_digest({"/a": b""}, key),
        keyed_digest({"/a": b"P=1"}, other),
    ]
    assert len({before, *others}) == 6


def test_secrets_are_masked_by_their_names_alone() -> None:
    redactor = Redactor()
    learn_secrets({"DB_PASSWORD": "hunter22", "MODE": "production"}, redactor)
    assert redactor("hunter22 in production") == "*** in production"


def test_entries_are_read_as_the_document_has_them() -> None:
    definition = {
        "env_file": [{"path": "/etc/a$$b"}, {"path": "/etc/c", "required": False, "format": "raw"}],
    }
    assert host_env_files(definition) == (
        HostEnvFile(path="/etc/a$b"),
        HostEnvFile(path="/etc/c", required=False, raw=True),
    )
    assert host_env_files({}) == ()


def test_a_variable_changes_with_what_its_value_is_made_of() -> None:
    values = {"URL": "x://${USER}:y", "USER": "one", "APART": "1"}

    def digests(**changes: str) -> dict[str, str]:
        return variable_digests({**values, **changes}, ["URL", "APART", "NONE"], path="/e", key=b"k")

    before = digests()
    assert set(before) == {"URL", "APART"}
    assert digests(USER="two")["URL"] != before["URL"]
    assert digests(USER="two")["APART"] == before["APART"]
    assert variable_digests(values, ["APART"], path="/e", key=b"other")["APART"] != before["APART"]
    assert variable_digests({"A": "$A"}, ["A"], path="/e", key=b"k")  # a circle comes to an end


def test_a_service_has_one_digest_of_files_and_variables() -> None:
    one = combined_digest(None, {"A": "1"}, b"k")
    assert one not in {
        combined_digest(None, {}, b"k"),
        combined_digest("f", {"A": "1"}, b"k"),
        combined_digest(None, {"A": "1"}, b"l"),
    }


@pytest.mark.parametrize("name", ["COMPOSE_REMOVE_ORPHANS", "DOCKER_HOST"])
def test_settings_of_a_client_are_refused_by_name(name: str) -> None:
    with pytest.raises(UserError, match=name) as caught:
        refuse_settings({name: "the-value"}, FILE)
    assert "the-value" not in str(caught.value)
