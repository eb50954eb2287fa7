"""By what it is remembered which contact of a CRM was told of a conversion, where a contact is known by its e-mail.

The one rule: as of click ids (`click_digests`): the digest is made under a key of the workspace's own, so that whoever
has no key cannot tell whose address it is of.
"""

from hashlib import blake2b
from typing import Final

CONTACT_FIELD: Final = "contact"
"""What the digest is called in the ledger."""
_DIGEST_BYTES: Final = 16


def contact_digest(key: bytes, email: str) -> str:
    """Returns by what two tellings of one contact are known to be of one.

    Args:
        key: Of the workspace, as `click_digests.click_key`.
        email: As it is sent; case does not count there.

    >>> contact_digest(b"a key", "Ann@example.com") == contact_digest(b"a key", "ann@example.com")
    True
    """
    digest = blake2b(email.lower().encode(), digest_size=_DIGEST_BYTES, key=key, person=b"trb contact")
    return digest.hexdigest()
