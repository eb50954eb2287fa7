"""How it is kept at a destination what a lead's object is called there, so that whoever reads the store learns no name.

The one rule: who knows by what callers name a lead finds what it is called, and nobody else. A claim is found by the
lead's family id, and what it says is sealed under the lead's name (AES-SIV, RFC 5297: the same words give the same
bytes, so that two who say the same are seen to agree). An erasure, which keeps family ids alone, deletes all claims of
a lead by these.
"""

from hashlib import blake2b
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from tributary_domain.ids import encode_parts
from tributary_domain.sealing import SealError

_VERSION: Final = b"\x01"
_DIGEST_BYTES: Final = 16
_PERSON: Final = b"trb lead claim 1"


class ObjectKind(NamedTuple):
    """Which objects of a destination a claim is about: another account knows none of this one's."""

    account: str
    kind: str
    """What tells a lead's objects apart; "": it has one."""

    @property
    def field(self) -> str:
        """Returns what a claim is kept under, among those of its lead."""
        return blake2b(encode_parts(*self), digest_size=_DIGEST_BYTES, person=_PERSON).hexdigest()

    def old_digest(self, lead_name: str) -> str:
        """Returns by what an earlier version found a claim, which it kept in plain text.

        Args:
            lead_name: Of `families.lead_names`.
        """
        return blake2b(f"{self.account} {self.kind} {lead_name}".encode(), digest_size=_DIGEST_BYTES).hexdigest()


def seal(lead_name: str, called: str) -> bytes:
    """Returns what an object is called, as it may be kept.

    >>> opened("lead:L-1", seal("lead:L-1", "1001"))
    '1001'

    Args:
        lead_name: Of `families.lead_names`; whoever reads it needs the same.
        called: By the destination; not empty.
    """
    return _VERSION + _cipher(lead_name).encrypt(called.encode(), [_VERSION])


def opened(lead_name: str, sealed: bytes) -> str:
    """Returns what was sealed.

    Raises:
        SealError: It was changed since, or is another lead's or of a later version.
    """
    if sealed[:1] != _VERSION:
        raise SealError("no claim of a known version")
    try:
        return _cipher(lead_name).decrypt(sealed[1:], [_VERSION]).decode()
    except InvalidTag as error:
        raise SealError("the claim was changed, or is another lead's") from error


def _cipher(lead_name: str) -> AESSIV:
    return AESSIV(blake2b(lead_name.encode(), digest_size=64, person=_PERSON).digest())
