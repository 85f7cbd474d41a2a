"""Env files of a host: names and keyed digests come out, values do not."""

from __future__ import annotations

import pytest

from events.hostenv import (
    HOST_ENV_INVALID,
    HostEnvFile,
    host_env_files,
    keyed_digest,
    learn_secrets,
    values_of,
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
