"""A workspace's declaration, ready for the hot path: compiled once, when the file is read, not once per event.

The one rule: rules belong to exactly one reading of `workspaces.yaml`; after a reload a call sees all of the new one or
all of the old one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from tributary_domain import velocity
from tributary_domain.addresses import NO_ADDRESSES, AddressBook, read_address
from tributary_domain.bots import Observer
from tributary_domain.channel import ChannelClassifier
from tributary_domain.deal_creators import own_creators
from tributary_domain.event_times import MICROS, AcceptWindow
from tributary_domain.human_check import ENDPOINTS, Provider
from tributary_domain.identifiers import Identification
from tributary_domain.ids import event_digester
from tributary_domain.payloads import Digester, PayloadDigester, content_digester
from tributary_domain.redacted_ids import pepper_check, redaction_tokens
from tributary_domain.severed_orders import deal_key
from tributary_domain.unexpected_amounts import ExpectedAmounts
from tributary_domain.validation import Expectations
from tributary_domain.velocity import VelocityRules
from tributary_ingestion.human_checks import Verifier
from tributary_runtime.address_lists import AddressLists
from tributary_runtime.conversion_settings import ConversionDefinition, ObservedBy, OtherCurrencies
from tributary_runtime.door_settings import VelocityLimit
from tributary_runtime.workspace_channels import channels_of
from tributary_runtime.workspaces import Workspace
from tributary_runtime.workspaces_file import WorkspacesFile

_DAY = 86_400 * MICROS
_USUAL_RANK: Final = ConversionDefinition(name="-").source_rank


@dataclass(frozen=True, slots=True)
class WorkspaceRules:
    """All that intake knows of one workspace."""

    workspace_id: str
    identification: Identification
    channels: ChannelClassifier
    expected: Expectations
    event_digest: Callable[[str], bytes]
    """Event id -> what is claimed."""
    payload_digest: PayloadDigester
    content_digest: Digester
    wrapping_keys: tuple[bytes, ...]
    """The first wraps the data keys that seal match keys, all unwrap them; empty: none are kept."""
    match_key_seconds: int
    """How long a data key is kept after its person was seen last."""
    judge_address: Callable[[str], tuple[str, str]]
    """Client address -> (16 hexadecimal digits, keyed, that stand for it or, of IPv6, its /64; the list it is on). Both
    are empty for what is no address."""
    velocity: VelocityRules
    verifiers: Mapping[Provider, Verifier]
    redaction_token: Callable[[str], str]
    """Id that is somebody's e-mail address -> what stands for it, keyed."""
    pepper_check: str
    """Tells the pepper from another one."""
    ranks: Mapping[str, Sequence[int]]
    """Conversion name -> rank per `Observer`; of those names only that rank their sources as nobody else does."""
    vendors: tuple[int, ...]
    """Whom of those that a consent string can name the workspace has for a destination, ascending."""
    deal_key: tuple[int, int]
    """What digests of numbers are made under by which deals name conversions of people who were erased."""
    is_own_creator: Callable[[str], bool]
    """Tells whether `created_by` of a deal, as sent, is one of those that make our deals."""


class RulesBook:
    """The rules of every workspace, made when first needed and again when its declaration changed.

    Args:
        workspaces: As declared now.
        addresses: Their lists of networks, as read now.
    """

    def __init__(self, workspaces: WorkspacesFile, addresses: AddressLists) -> None:
        self._workspaces = workspaces
        self._addresses = addresses
        self._made: dict[str, tuple[Workspace, AddressBook, WorkspaceRules]] = {}

    def of(self, workspace_id: str) -> WorkspaceRules:
        """Returns the rules of a workspace.

        Raises:
            NotFoundError: It was removed since the call was authenticated.
        """
        workspace = self._workspaces.get(workspace_id)
        addresses = self._addresses.of(workspace)
        known = self._made.get(workspace_id)
        if known is not None and known[0] is workspace and known[1] is addresses:
            return known[2]
        rules = compile_rules(workspace, addresses)
        self._made[workspace_id] = (workspace, addresses, rules)
        return rules


def compile_rules(workspace: Workspace, addresses: AddressBook = NO_ADDRESSES) -> WorkspaceRules:
    """Makes the rules of one workspace.

    Args:
        workspace: As declared.
        addresses: Its lists of networks.
    """
    pepper = workspace.pepper.reveal().encode()
    accept = workspace.accept
    amounts = {
        (definition.name, expected.currency): (expected.minimum_micros, expected.maximum_micros)
        for definition in workspace.conversions
        for expected in definition.expected_amounts
    }
    other_currencies = {
        definition.name: definition.other_currencies is OtherCurrencies.QUARANTINE
        for definition in workspace.conversions
        if definition.expected_amounts
    }
    return WorkspaceRules(
        workspace.id,
        Identification(pepper, workspace.default_region, frozenset(workspace.identity.blocked_identifiers)),
        channels_of(workspace),
        Expectations(
            AcceptWindow(
                accept.event_days * _DAY,
                accept.order_days * _DAY,
                accept.ahead_seconds * MICROS,
                accept.backfill_days * _DAY,
            ),
            frozenset(definition.name for definition in workspace.conversions),
            ExpectedAmounts(amounts, other_currencies) if amounts else None,
            frozenset(kind.value for kind in workspace.session_id_required),
        ),
        event_digester(workspace.id),
        PayloadDigester(_key(pepper, b"trb payload key")),
        content_digester(_key(pepper, b"trb content key")),
        workspace.wrapping_keys,
        workspace.retention.match_key_days * 86_400,
        _address_judge(_key(pepper, b"trb address key"), addresses),
        VelocityRules(_key(pepper, b"trb velocity key"), *_velocity_limits(workspace)),
        _verifiers(workspace),
        redaction_tokens(pepper),
        pepper_check(pepper),
        {
            definition.name: _ranks(definition)
            for definition in workspace.conversions
            if definition.source_rank != _USUAL_RANK
        },
        workspace.tcf_vendors,
        deal_key(pepper),
        own_creators(workspace.deals.own_creators),
    )


def _ranks(definition: ConversionDefinition) -> tuple[int, ...]:
    """Returns the rank per `Observer`; who does not say who observed a conversion is a backend."""
    ranks = definition.ranks
    unsaid = {Observer.UNSPECIFIED: ObservedBy.BACKEND}
    return tuple(ranks[unsaid.get(observer) or ObservedBy(observer.name.lower())] for observer in Observer)


def _key(pepper: bytes, purpose: bytes) -> bytes:
    """Derives a key of its own per purpose, whatever the pepper's length."""
    return blake2b(pepper, digest_size=32, person=purpose).digest()


def _address_judge(key: bytes, addresses: AddressBook) -> Callable[[str], tuple[str, str]]:
    state = blake2b(digest_size=8, key=key)

    def judge(text: str) -> tuple[str, str]:
        address = read_address(text)
        if address is None:
            return "", ""
        hashed = state.copy()
        hashed.update(address[2].encode())
        return hashed.hexdigest(), addresses.find(address) if addresses else ""

    return judge


def _velocity_limits(workspace: Workspace) -> tuple[velocity.Limits, dict[str, velocity.Limits]]:
    """Returns the limits of every name, and those of the names that have their own."""
    default = workspace.velocity
    by_name = {}
    for definition in workspace.conversions:
        own = definition.velocity
        if own.identifier or own.address or own.click_id:
            by_name[definition.name] = velocity.Limits(
                _limit(own.identifier or default.identifier),
                _limit(own.address or default.address),
                _limit(own.click_id or default.click_id),
            )
    limits = velocity.Limits(_limit(default.identifier), _limit(default.address), _limit(default.click_id))
    return limits, by_name


def _limit(declared: VelocityLimit) -> velocity.Limit:
    return velocity.Limit(declared.at_most, declared.window_hours * 3_600_000)


def _verifiers(workspace: Workspace) -> dict[Provider, Verifier]:
    found = {}
    for declared in workspace.human_checks:
        provider = Provider(declared.type.value)
        found[provider] = Verifier(
            provider,
            declared.endpoint or ENDPOINTS[provider],
            declared.secret.reveal(),
            declared.minimum_score_percent,
            declared.timeout_milliseconds / 1_000,
            declared.allow_private_addresses,
            declared.carriers_per_token,
        )
    return found
