"""Cutting commits and tags into what was signed and the signature."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.source.signed import signed_commit, signed_tag, ssh_key

HEAD = b"tree 1\nauthor a\ncommitter b"
ARMOUR = b"-----BEGIN SSH SIGNATURE-----\nU1NI\n-----END SSH SIGNATURE-----\n"
FOLDED = b"gpgsig " + ARMOUR.rstrip(b"\n").replace(b"\n", b"\n ")


def test_a_signature_is_cut_out_and_all_else_stays() -> None:
    found = signed_commit(HEAD + b"\n" + FOLDED + b"\nencoding x\n\nmessage\n\nmore\n")
    assert found.payload == HEAD + b"\nencoding x\n\nmessage\n\nmore\n"
    assert (found.signature, found.form) == (ARMOUR, "ssh")


def test_a_commit_without_a_signature_is_all_payload() -> None:
    content = HEAD + b"\n\n" + FOLDED + b"\n"
    found = signed_commit(content)
    assert (found.payload, found.signature, found.form) == (content, b"", "none")


def test_lines_that_go_on_belong_to_the_header_above_them() -> None:
    tag = b"mergetag object 1\n type commit\n " + ARMOUR.rstrip(b"\n").replace(b"\n", b"\n ")
    found = signed_commit(HEAD + b"\n" + tag + b"\n" + FOLDED + b"\n\nm")
    assert found.payload == HEAD + b"\n" + tag + b"\n\nm"
    assert found.signature == ARMOUR


def test_the_signature_for_the_other_kind_of_names_is_signed_by_nobody() -> None:
    other = FOLDED.replace(b"gpgsig ", b"gpgsig-sha256 ")
    found = signed_commit(HEAD + b"\n" + other + b"\n" + FOLDED + b"\n\nm")
    assert (found.payload, found.signature) == (HEAD + b"\n\nm", ARMOUR)
    assert signed_commit(HEAD + b"\n" + other + b"\n\nm").form == "none"


@pytest.mark.parametrize(
    ("header", "form"),
    [
        (FOLDED, "ssh"),
        (FOLDED + b"\n" + FOLDED, "other"),
        (b"gpgsig -----BEGIN PGP SIGNATURE-----\n x", "openpgp"),
        (b"gpgsig -----BEGIN PGP MESSAGE-----\n x", "openpgp"),
        (b"gpgsig -----BEGIN SIGNED MESSAGE-----\n x", "other"),
        (b"gpgsig nonsense", "other"),
        (b"gpgsig ", "other"),
        (b"gpgsigned x", "none"),
    ],
)
def test_the_form_is_known_by_the_first_line(header: bytes, form: str) -> None:
    assert signed_commit(HEAD + b"\n" + header + b"\n\nm").form == form


def test_a_tag_is_cut_at_its_last_signature() -> None:
    head = b"object 1\ntype commit\ntag v1\ntagger x\n\n"
    found = signed_tag(head + b"no " + ARMOUR + b"-----BEGIN PGP SIGNATURE-----\n" + ARMOUR)
    assert (found.name, found.target, found.target_kind) == ("v1", "1", "commit")
    assert found.signed.payload == head + b"no " + ARMOUR + b"-----BEGIN PGP SIGNATURE-----\n"
    assert (found.signed.signature, found.signed.form) == (ARMOUR, "ssh")


def test_a_tag_without_a_signature_is_all_payload() -> None:
    content = b"object 1\ntype commit\ntag v1\n\nobject 2\n -----BEGIN SSH SIGNATURE-----\n"
    found = signed_tag(content)
    assert (found.signed.payload, found.signed.form, found.target) == (content, "none", "1")


def test_the_first_of_two_headers_of_a_tag_counts() -> None:
    assert signed_tag(b"object 1\nobject 2\n\n").target == "1"


@given(st.binary())
def test_any_bytes_are_cut_without_an_error(content: bytes) -> None:
    assert signed_commit(content).form == "none" or b"gpgsig" in content
    tag = signed_tag(content).signed
    assert tag.payload + tag.signature == content
    ssh_key(content)


def test_a_key_is_read_from_its_signature() -> None:
    key = b"\0\0\0\x0bssh-ed25519\0\0\0\x01k"
    blob = b"SSHSIG\0\0\0\x01" + len(key).to_bytes(4, "big") + key + b"rest"
    found = ssh_key(b"-----BEGIN SSH SIGNATURE-----\n" + base64.b64encode(blob) + b"\n-----END\n")
    assert found is not None
    assert (found.kind, found.blob) == ("ssh-ed25519", base64.b64encode(key).decode())
    assert found.fingerprint.startswith("SHA256:")


@pytest.mark.parametrize("blob", [b"", b"SSHSIG", b"SSHSIG\0\0\0\x01\0\0\xff\xff", b"SSHSUG\0\0\0\x01"])
def test_a_signature_without_a_key_has_none(blob: bytes) -> None:
    assert ssh_key(base64.b64encode(blob)) is None
