"""Ed25519: making keys, signing, checking, and how keys stand in files.

The only module that imports `cryptography`, which takes tens of milliseconds: whoever only reads the log does
not import this one. Public keys are handled as their 32 bytes, signatures as hex.
"""

from __future__ import annotations

from hashlib import sha256

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

PublicKeys = dict[str, bytes]
"""Raw public keys by key id."""

_KEY_ID_DIGITS = 16
_PEM_END = b"-----END PUBLIC KEY-----"


def key_id_of(public_key: bytes) -> str:
    """The name of a public key: the beginning of its digest."""
    return sha256(public_key).hexdigest()[:_KEY_ID_DIGITS]


class SigningKey:
    """A private key."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = key.public_key().public_bytes_raw()
        self.id = key_id_of(self.public)

    @classmethod
    def new(cls) -> SigningKey:
        """A key that nobody had before."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_pem(cls, content: bytes) -> SigningKey:
        """The key of a file. Raises ValueError."""
        try:
            key = load_pem_private_key(content, password=None)
        except (TypeError, UnsupportedAlgorithm) as error:  # TypeError: it is encrypted
            raise ValueError(str(error)) from error
        if not isinstance(key, Ed25519PrivateKey):
            raise ValueError("a key of another kind than Ed25519")  # noqa: TRY004 - what is read is no argument
        return cls(key)

    def pem(self) -> bytes:
        """The key for its file."""
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def sign(self, content: bytes) -> str:
        """The signature over `content`, in hex."""
        return self._key.sign(content).hex()


def is_signature(public_key: bytes, signature: str, content: bytes) -> bool:
    """Whether a signature in hex is this public key's over `content`."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(bytes.fromhex(signature), content)
    except (InvalidSignature, ValueError):  # ValueError: no hex, or a key of another length
        return False
    return True


def public_pem(public_key: bytes) -> bytes:
    """A public key as people hand it on: PEM, as OpenSSL reads it."""
    key = Ed25519PublicKey.from_public_bytes(public_key)
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def parse_public_pem(content: bytes) -> PublicKeys:
    """The keys of one PEM block or several, at least one. Raises ValueError."""
    keys: PublicKeys = {}
    for block in content.split(_PEM_END)[:-1]:
        try:
            key = load_pem_public_key((block + _PEM_END).strip())
        except UnsupportedAlgorithm as error:
            raise ValueError(str(error)) from error
        if not isinstance(key, Ed25519PublicKey):
            raise ValueError("a key of another kind than Ed25519")  # noqa: TRY004 - what is read is no argument
        raw = key.public_bytes_raw()
        keys[key_id_of(raw)] = raw
    if not keys:
        raise ValueError("no PUBLIC KEY in PEM is in it")
    return keys
