"""A workspace's declaration, ready for the hot path: compiled once, when the file is read, not once per event.

The one rule: rules belong to exactly one reading of `workspaces.yaml`; after a reload a call sees all of the new one or
all of the old one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b

from tributary_domain.channel import ChannelClassifier
from tributary_domain.event_times import MICROS, AcceptWindow
from tributary_domain.identifiers import Identification
from tributary_domain.payloads import Digester, content_digester, payload_digester
from tributary_domain.validation import Expectations
from tributary_runtime.workspace_channels import channels_of
from tributary_runtime.workspaces import Workspace
from tributary_runtime.workspaces_file import WorkspacesFile

_DAY = 86_400 * MICROS


@dataclass(frozen=True, slots=True)
class WorkspaceRules:
    """All that intake knows of one workspace."""

    workspace_id: str
    identification: Identification
    channels: ChannelClassifier
    expected: Expectations
    payload_digest: Digester
    content_digest: Digester
    wrapping_keys: tuple[bytes, ...]
    """The first wraps the data keys that seal match keys, all unwrap them; empty: none are kept."""
    match_key_seconds: int
    """How long a data key is kept after its person was seen last."""
    address_token: Callable[[str], str]
    """Client address -> 16 hexadecimal digits, keyed: for velocity rules, without the address."""


class RulesBook:
    """The rules of every workspace, made when first needed and again when its declaration changed.

    Args:
        workspaces: As declared now.
    """

    def __init__(self, workspaces: WorkspacesFile) -> None:
        self._workspaces = workspaces
        self._made: dict[str, tuple[Workspace, WorkspaceRules]] = {}

    def of(self, workspace_id: str) -> WorkspaceRules:
        """Returns the rules of a workspace.

        Raises:
            NotFoundError: It was removed since the call was authenticated.
        """
        workspace = self._workspaces.get(workspace_id)
        known = self._made.get(workspace_id)
        if known is not None and known[0] is workspace:
            return known[1]
        rules = compile_rules(workspace)
        self._made[workspace_id] = (workspace, rules)
        return rules


def compile_rules(workspace: Workspace) -> WorkspaceRules:
    """Makes the rules of one workspace."""
    pepper = workspace.pepper.reveal().encode()
    accept = workspace.accept
    amounts = {
        (definition.name, expected.currency): (expected.minimum_micros, expected.maximum_micros)
        for definition in workspace.conversions
        for expected in definition.expected_amounts
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
            amounts,
            frozenset(kind.value for kind in workspace.session_id_required),
        ),
        payload_digester(_key(pepper, b"trb payload key")),
        content_digester(_key(pepper, b"trb content key")),
        workspace.wrapping_keys,
        workspace.retention.match_key_days * 86_400,
        _address_tokens(_key(pepper, b"trb address key")),
    )


def _key(pepper: bytes, purpose: bytes) -> bytes:
    """Derives a key of its own per purpose, whatever the pepper's length."""
    return blake2b(pepper, digest_size=32, person=purpose).digest()


def _address_tokens(key: bytes) -> Callable[[str], str]:
    state = blake2b(digest_size=8, key=key)

    def token(address: str) -> str:
        hashed = state.copy()
        hashed.update(address.strip().lower().encode())
        return hashed.hexdigest()

    return token
