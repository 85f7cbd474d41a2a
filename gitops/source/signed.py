"""What of a commit or a tag is signed, and with which signature; nothing is judged here.

A commit carries its signature in a header of its own, and what is signed is the commit without that header.
A tag carries it at the end of its message. Both are cut exactly as Git cuts them, so that what the signer's
Git signed is what is verified; the tests hold the two together. A signature that stands anywhere else, as in
the message of a commit, is text.

`git verify-commit` would cut it for us and was dropped: it asks whether a key was valid when the commit says
it was made, which whoever found an expired key may choose; which programs it runs, a repository's own
configuration says; and its answer tells an unknown key from an expired one in words alone.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from dataclasses import dataclass
from typing import Final, Literal

Form = Literal["none", "ssh", "openpgp", "other"]

_HEADER: Final = b"gpgsig"  # also the beginning of `gpgsig-sha256`
_BEGINNINGS: Final[dict[bytes, Form]] = {
    b"-----BEGIN SSH SIGNATURE-----": "ssh",
    b"-----BEGIN PGP SIGNATURE-----": "openpgp",
    b"-----BEGIN PGP MESSAGE-----": "openpgp",
    b"-----BEGIN SIGNED MESSAGE-----": "other",  # X.509
}
_MAGIC: Final = b"SSHSIG"
_SHORTEST_BLOB: Final = len(_MAGIC) + 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """What was signed and the signature, both byte for byte."""

    payload: bytes
    signature: bytes  # in its armour; empty when there is none
    form: Form


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedTag:
    """An annotated tag."""

    name: str  # as the tag itself says it, whatever ref it was found under
    target: str  # object id
    target_kind: str  # `commit` in most cases
    signed: Signed


@dataclass(frozen=True, slots=True, kw_only=True)
class SshKey:
    """The public key that an SSH signature says it was made with."""

    kind: str  # as in `ssh-ed25519`
    blob: str  # base64, as it stands in files of keys
    fingerprint: str  # as `ssh-keygen -l` shows it


def signed_commit(content: bytes) -> Signed:
    """The parts of a commit object. One with two signatures has the form `other`, which nobody verifies."""
    header, blank, message = content.partition(b"\n\n")
    payload: list[bytes] = []
    signatures: list[list[bytes]] = []
    target = payload
    for line in header.split(b"\n"):
        if line.startswith(b" ") and target is not payload:
            target.append(line[1:])
        elif line.startswith(_HEADER):
            target = [line.removeprefix(_HEADER + b" ")]
            if line.startswith(_HEADER + b" "):
                signatures.append(target)
        else:
            target = payload
            target.append(line)
    armour = b"".join(line + b"\n" for signature in signatures for line in signature)
    form = (_form(armour) or "other") if len(signatures) == 1 else "other"
    return Signed(
        payload=b"\n".join(payload) + blank + message,
        signature=armour,
        form=form if signatures else "none",
    )


def signed_tag(content: bytes) -> SignedTag:
    """The parts of a tag object; what a broken one lacks is empty."""
    cut = position = 0
    form: Form = "none"
    for line in content.split(b"\n"):
        if found := _form(line):
            cut, form = position, found  # the last one counts, as for Git
        position += len(line) + 1
    payload, signature = (content, b"") if form == "none" else (content[:cut], content[cut:])
    fields = dict[str, str]()
    for line in payload.partition(b"\n\n")[0].split(b"\n"):
        key, _, value = line.decode(errors="replace").partition(" ")
        fields.setdefault(key, value)
    return SignedTag(
        name=fields.get("tag", ""),
        target=fields.get("object", ""),
        target_kind=fields.get("type", ""),
        signed=Signed(payload=payload, signature=signature, form=form),
    )


def ssh_key(signature: bytes) -> SshKey | None:
    """The key in an SSH signature; None when it cannot be read, and then nothing verifies it either."""
    body = b"".join(line for line in signature.split(b"\n") if not line.startswith(b"-----"))
    try:
        blob = base64.b64decode(body, validate=True)
        if not blob.startswith(_MAGIC):
            return None
        key = _text_at(blob, _SHORTEST_BLOB)
        kind = _text_at(key, 0)
    except (binascii.Error, struct.error, ValueError):
        return None
    print_ = base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")
    return SshKey(
        kind=kind.decode("ascii", errors="replace"),
        blob=base64.b64encode(key).decode(),
        fingerprint=f"SHA256:{print_}",
    )


def _form(armour: bytes) -> Form | None:
    """What a signature is by its first line; None for what begins none."""
    return next((form for beginning, form in _BEGINNINGS.items() if armour.startswith(beginning)), None)


def _text_at(blob: bytes, position: int) -> bytes:
    """A string of the SSH wire format. Raises struct.error or ValueError when there is none."""
    (length,) = struct.unpack_from(">I", blob, position)
    found = blob[position + 4 : position + 4 + length]
    if len(found) != length:
        raise ValueError("it ends too early")
    return found
