"""What a destination can recognise a person by, as it is opened right before it is hashed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.support.revisions import Revision
from tributary.attribution.v1.conversion_pb2 import PersonKeys as SealedKeys
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.dedup.v1.match_keys_pb2 import MatchKeys
from tributary.event.v1.context_pb2 import OBSERVER_BACKEND, OBSERVER_BROWSER, Observer
from tributary_delivery.destinations.adapter import PersonKeys
from tributary_delivery.match_keys import MatchKeyOpener, Name
from tributary_domain.sealing import NONCE_BYTES, DataKey, key_name, wrap

WORKSPACE_KEY, DATA_KEY = bytes(32), bytes(range(32))


@dataclass
class Kept:
    """Data keys as a store has them."""

    wrapped: dict[Name, bytes] = field(default_factory=dict)

    async def read(self, names: Sequence[Name]) -> dict[Name, bytes]:
        return {name: self.wrapped[name] for name in names if name in self.wrapped}

    def seal(self, person: str = "customer:1", by: Observer = OBSERVER_BACKEND, **identifiers: str) -> bytes:
        """Seals what an event says; `client_ip` and `user_agent` are of its context."""
        context = {name: identifiers.pop(name, "") for name in ("client_ip", "user_agent")}
        keys = MatchKeys(observed_by=by, **context)  # type: ignore[arg-type]
        for name, text in identifiers.items():
            setattr(keys.identifiers, name, text)
        name = key_name("shop", person)
        self.wrapped["shop", name] = wrap(DATA_KEY, WORKSPACE_KEY)
        sealed = DataKey("shop", name, self.wrapped["shop", name], [WORKSPACE_KEY])
        return sealed.seal(keys.SerializeToString(), os.urandom(NONCE_BYTES))


async def opened(kept: Kept, revised: ConversionRevised, *workspace_keys: bytes) -> PersonKeys:
    [keys] = await MatchKeyOpener(kept, lambda _: workspace_keys or (WORKSPACE_KEY,)).open("shop", [revised])
    return keys.person()


def revised(*sealed: bytes, device: bytes = b"", others: Sequence[bytes] = ()) -> ConversionRevised:
    message = Revision(workspace="shop").message()
    message.match.sealed_match_keys.extend(sealed)
    message.match.sealed_device_keys = device
    message.match.person_keys.extend(SealedKeys(sealed=one) for one in others)
    return message


async def test_observations_are_united_the_newest_first() -> None:
    kept = Kept()
    browser = kept.seal(by=OBSERVER_BROWSER, email="old@example.com", client_ip="203.0.113.7", user_agent="Firefox")
    backend = kept.seal(email="new@example.com", phone="0171 234", customer_id="c-1", client_ip="10.0.0.1")
    keys = await opened(kept, revised(browser, backend))
    assert keys.emails == ("new@example.com", "old@example.com")
    assert (keys.phones, keys.customer_id) == (("0171 234",), "c-1")
    assert (keys.client_ip, keys.user_agent) == ("203.0.113.7", "Firefox"), "never a backend's"


async def test_what_no_observation_says_other_events_of_the_person_do() -> None:
    kept = Kept()
    device = kept.seal(by=OBSERVER_BROWSER, client_ip="203.0.113.7", user_agent="Firefox", email="shared@example.com")
    other = kept.seal(by=OBSERVER_BROWSER, email="known@example.com", phone="0171 999", user_agent="another")
    keys = await opened(kept, revised(kept.seal(phone="0171 234"), device=device, others=[other]))
    assert (keys.emails, keys.phones) == (("known@example.com",), ("0171 234",))
    assert (keys.client_ip, keys.user_agent) == ("203.0.113.7", "Firefox")


async def test_whose_key_is_gone_or_is_not_ours_is_not_recognised() -> None:
    kept = Kept()
    erased, there = kept.seal("customer:erased", email="gone@example.com"), kept.seal(email="here@example.com")
    del kept.wrapped["shop", key_name("shop", "customer:erased")]
    assert (await opened(kept, revised(erased, there, b"no seal"))).emails == ("here@example.com",)
    assert (await opened(kept, revised(there), b"k" * 32)).emails == ()
    changed = there[:-1] + bytes([there[-1] ^ 1])
    assert (await opened(kept, revised(changed))).emails == ()


async def test_what_is_withheld_is_left_out_wherever_it_is_named() -> None:
    kept = Kept()
    own = kept.seal(email="his@example.com", phone="0171 234")
    newer = kept.seal(email="hers@example.com", email_sha256="aa" * 32)
    [keys] = await MatchKeyOpener(kept, lambda _: (WORKSPACE_KEY,)).open("shop", [revised(own, newer)])
    assert set(keys.values()) == {
        *(("email", f"{whose}@example.com") for whose in ("his", "hers")),
        *(("phone", "0171 234"), ("email_sha256", "aa" * 32)),
    }
    left = keys.without({("email", "hers@example.com"), ("phone", "0171 234")}).person()
    assert (left.emails, left.email_digests, left.phones) == (("his@example.com",), ("aa" * 32,), ())


async def test_nothing_that_is_printed_shows_whom_it_is_about() -> None:
    kept = Kept()
    assert "ann" not in repr(await opened(kept, revised(kept.seal(email="ann@example.com"))))
