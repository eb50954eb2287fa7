"""What an instrument is: typed, closed, and free until somebody exports it.

The one rule: an instrument that nobody exports costs one comparison. `bind` connects all of them to a meter, once.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from enum import Enum

from opentelemetry import metrics as otel

OTHER = "other"
"""What a value outside of a declared set counts as."""


class DeclaredSet:
    """Attribute values known at start but not to this library, e.g. the methods a process serves.

    Args:
        name: For people.
        values: Known from the beginning.
    """

    __slots__ = ("name", "values")

    def __init__(self, name: str, values: Iterable[str] = ()) -> None:
        self.name = name
        self.values = set(values)

    def declare(self, values: Iterable[str]) -> None:
        """Adds values. Called by code at start, never with input."""
        self.values.update(values)


AttributeSet = type[Enum] | DeclaredSet
AttributeValue = Enum | str


class Instrument(ABC):
    """One named measurement.

    Args:
        name: `tributary.<area>.<noun>`.
        unit: UCUM: `s`, `{event}`.
        description: One sentence.
        attributes: Name to the closed set its values are from.
    """

    __slots__ = ("_known", "attributes", "description", "name", "unit")

    def __init__(self, name: str, unit: str, description: str, attributes: dict[str, AttributeSet]) -> None:
        self.name = name
        self.unit = unit
        self.description = description
        self.attributes = attributes
        self._known: dict[tuple[AttributeValue, ...], dict[str, str]] = {}
        _CATALOGUE.append(self)

    def _labels(self, given: dict[str, AttributeValue]) -> dict[str, str]:
        """Returns the attributes as text, checked once per combination.

        Raises:
            ValueError: Another set of attributes than declared: a caller's bug.
        """
        key = tuple(given.values())
        labels = self._known.get(key)
        if labels is None or labels.keys() != given.keys():
            if given.keys() != self.attributes.keys():
                raise ValueError(f"{self.name} has the attributes {sorted(self.attributes)}, not {sorted(given)}")
            labels = {name: _text(self.attributes[name], value) for name, value in given.items()}
            if OTHER not in labels.values():
                self._known[key] = labels
        return labels

    @abstractmethod
    def bind(self, meter: otel.Meter) -> None:
        """Connects the instrument to what exports it."""

    @abstractmethod
    def unbind(self) -> None:
        """Makes the instrument free again."""


def _text(values: AttributeSet, value: AttributeValue) -> str:
    if isinstance(values, DeclaredSet):
        text = str(value)
        return text if text in values.values else OTHER
    if isinstance(value, values):
        return str(value.value)
    raise ValueError(f"{value!r} is no {values.__name__}")


class Counter(Instrument):
    """Only grows."""

    __slots__ = ("_bound",)

    def __init__(self, name: str, unit: str, description: str, attributes: dict[str, AttributeSet]) -> None:
        super().__init__(name, unit, description, attributes)
        self._bound: otel.Counter | None = None

    def add(self, amount: int, **attributes: AttributeValue) -> None:
        """Adds to the sum of these attributes."""
        if self._bound is not None:
            self._bound.add(amount, self._labels(attributes))

    def bind(self, meter: otel.Meter) -> None:
        """Connects the counter to what exports it."""
        self._bound = meter.create_counter(self.name, self.unit, self.description)

    def unbind(self) -> None:
        """Makes the counter free again."""
        self._bound = None


class Histogram(Instrument):
    """A distribution.

    Args:
        name: As for `Instrument`.
        unit: As for `Instrument`.
        description: As for `Instrument`.
        boundaries: Upper ends of the buckets, growing.
        attributes: As for `Instrument`.
    """

    __slots__ = ("_bound", "boundaries")

    def __init__(
        self, name: str, unit: str, description: str, boundaries: Sequence[float], attributes: dict[str, AttributeSet]
    ) -> None:
        super().__init__(name, unit, description, attributes)
        self.boundaries = tuple(boundaries)
        self._bound: otel.Histogram | None = None

    def record(self, value: float, **attributes: AttributeValue) -> None:
        """Adds one value."""
        if self._bound is not None:
            self._bound.record(value, self._labels(attributes))

    def bind(self, meter: otel.Meter) -> None:
        """Connects the histogram to what exports it."""
        self._bound = meter.create_histogram(
            self.name, self.unit, self.description, explicit_bucket_boundaries_advisory=self.boundaries
        )

    def unbind(self) -> None:
        """Makes the histogram free again."""
        self._bound = None


class Gauge(Instrument):
    """The newest value counts."""

    __slots__ = ("_bound",)

    def __init__(self, name: str, unit: str, description: str, attributes: dict[str, AttributeSet]) -> None:
        super().__init__(name, unit, description, attributes)
        self._bound: otel._Gauge | None = None

    def set(self, value: float, **attributes: AttributeValue) -> None:
        """Replaces the value of these attributes."""
        if self._bound is not None:
            self._bound.set(value, self._labels(attributes))

    def bind(self, meter: otel.Meter) -> None:
        """Connects the gauge to what exports it."""
        self._bound = meter.create_gauge(self.name, self.unit, self.description)

    def unbind(self) -> None:
        """Makes the gauge free again."""
        self._bound = None


_CATALOGUE: list[Instrument] = []


def counter(name: str, unit: str, description: str, **attributes: AttributeSet) -> Counter:
    """Declares a counter in the catalogue."""
    return Counter(name, unit, description, attributes)


def histogram(
    name: str, unit: str, description: str, boundaries: Sequence[float], **attributes: AttributeSet
) -> Histogram:
    """Declares a histogram in the catalogue."""
    return Histogram(name, unit, description, boundaries, attributes)


def gauge(name: str, unit: str, description: str, **attributes: AttributeSet) -> Gauge:
    """Declares a gauge in the catalogue."""
    return Gauge(name, unit, description, attributes)


def catalogue() -> tuple[Instrument, ...]:
    """Returns every instrument declared so far, in order."""
    return tuple(_CATALOGUE)


def bind_all(meter: otel.Meter) -> None:
    """Connects every instrument of the catalogue to what exports it."""
    for instrument in _CATALOGUE:
        instrument.bind(meter)


def unbind_all() -> None:
    """Makes every instrument free again."""
    for instrument in _CATALOGUE:
        instrument.unbind()
