"""What the door's rules see of an event: structural types that the messages of `tributary.event.v1` satisfy.

The one rule: the domain knows no wire format. A rule takes anything of this shape, reads it and never changes it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class MessageLike(Protocol):
    """Anything whose unset parts can be told from empty ones."""

    def HasField(self, field_name: Any, /) -> bool:
        """Tells whether a part is set."""
        ...


class MomentLike(Protocol):
    """A `google.protobuf.Timestamp` or `Duration`."""

    @property
    def seconds(self) -> int:
        """Whole seconds since 1970 UTC; may be negative."""
        ...

    @property
    def nanos(self) -> int:
        """Nanoseconds on top of the seconds."""
        ...


class IdentifiersLike(MessageLike, Protocol):
    """An `event.v1.Identifiers`."""

    @property
    def customer_id(self) -> str:
        """The advertiser's id of a customer."""
        ...

    @property
    def visitor_id(self) -> str:
        """The id in the advertiser's cookie."""
        ...

    @property
    def device_ids(self) -> Sequence[str]:
        """Ids of devices."""
        ...

    @property
    def apple_advertising_ids(self) -> Sequence[str]:
        """IDFA."""
        ...

    @property
    def android_advertising_ids(self) -> Sequence[str]:
        """GAID."""
        ...

    @property
    def email(self) -> str:
        """Plain."""
        ...

    @property
    def email_sha256(self) -> str:
        """64 hexadecimal digits."""
        ...

    @property
    def phone(self) -> str:
        """Plain."""
        ...

    @property
    def phone_sha256(self) -> str:
        """64 hexadecimal digits."""
        ...

    @property
    def other_ids(self) -> Mapping[str, str]:
        """By kind."""
        ...

    @property
    def address(self) -> Any:
        """An `event.v1.PostalAddress`."""
        ...


class EventLike(MessageLike, Protocol):
    """An `event.v1.Event`. Parts that only single rules read are `Any`: their fields are named where they are read."""

    @property
    def event_id(self) -> str:
        """The caller's id, or empty."""
        ...

    @property
    def event_time(self) -> MomentLike:
        """When it happened."""
        ...

    @property
    def sent_time(self) -> MomentLike:
        """The client's clock when it was sent."""
        ...

    @property
    def session_id(self) -> str:
        """The caller's, or empty."""
        ...

    @property
    def origin(self) -> int:
        """Where it happened."""
        ...

    @property
    def traffic(self) -> int:
        """Whether it counts."""
        ...

    @property
    def identifiers(self) -> IdentifiersLike:
        """Who it happened to."""
        ...

    @property
    def touchpoint(self) -> Any:
        """An `event.v1.Touchpoint`."""
        ...

    @property
    def conversion(self) -> Any:
        """An `event.v1.Conversion`."""
        ...

    @property
    def adjustment(self) -> Any:
        """An `event.v1.Adjustment`."""
        ...

    @property
    def consent(self) -> Any:
        """An `event.v1.Consent`."""
        ...

    @property
    def context(self) -> Any:
        """An `event.v1.Context`."""
        ...

    @property
    def human_check(self) -> Any:
        """An `event.v1.HumanCheck`."""
        ...

    @property
    def click_ids(self) -> Any:
        """An `event.v1.ClickIds`."""
        ...

    @property
    def experiment(self) -> Any:
        """An `event.v1.Experiment`."""
        ...

    @property
    def properties(self) -> Mapping[str, str]:
        """Kept, never interpreted."""
        ...

    def WhichOneof(self, oneof_group: Any, /) -> str | None:
        """Returns which kind of event it is."""
        ...
