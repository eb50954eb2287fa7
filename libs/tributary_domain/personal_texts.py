"""Whether a text that is kept as it stands is of somebody: an id, a name, a reason, the number of an order.

The one rule, for whatever stores such a text: it is of somebody if there is, anywhere in it, an e-mail address however
it is spelt, a phone number with its country code, a whole network address, or a user agent. What becomes of it then its
place says: a keyed token stands for an id, a reason and what is imported are refused. Whether four numbers with dots
are an address depends on the kind of text (`personal_devices`).

Not asked here: properties, campaigns and links, which hold more that is somebody's and lose only that
(`personal_values`, `urls`); and what has a place for a person's own texts, where they are sealed.
"""

from tributary_domain.personal import holds_personal, may_hold_personal
from tributary_domain.personal_devices import holds_device, may_hold_device, number_holds_device


def may_name_somebody(text: str) -> bool:
    """Tells whether a text has what everything that is somebody's has; false for nearly all ids, and quick."""
    return may_hold_personal(text) or may_hold_device(text)


def names_somebody(text: str) -> bool:
    """Tells whether a text is of somebody.

    >>> [names_somebody(text) for text in ("o-1 of ann@example.com", "+49 171 2345678", "203.0.113.7-1", "v10.2.1.4")]
    [True, True, True, False]
    """
    return holds_personal(text) or holds_device(text)


def number_names_somebody(number: str, client_ip: str = "") -> bool:
    """Tells the same of the number of an order, a lead, an item or a pixel's event, by which others match.

    Args:
        number: The number: it may be a date and a count, or the parts of a product's code.
        client_ip: The address that the event says it came from; empty if it says none.

    >>> number_names_somebody("25.11.27.104"), number_names_somebody("25.11.27.104", "25.11.27.104")
    (False, True)
    """
    return holds_personal(number) or number_holds_device(number, client_ip)
