"""The parameters of a URL that mean something: campaigns, click ids, and what is personal by its name.

The one rule: a name means the same however it is written: in capitals, encoded, or as a form's object.
"""

from functools import lru_cache
from typing import Final

from tributary_domain.personal_names import is_personal_name, plainer

UTM: Final = "utm"
CLICK: Final = "click"
PERSONAL: Final = "personal"
MAIL: Final = "mail"

_UTM_PARAMETERS = "utm_source utm_medium utm_campaign utm_term utm_content utm_id"
_CLICK_ID_PARAMETERS = """
    gclid gbraid wbraid gad_source gad_campaignid gclsrc dclid srsltid fbclid msclkid ttclid li_fat_id twclid epik
    rdt_cid irclickid yclid awc cjevent sscid tblci dicbo qclid vmcid mc_cid igshid
"""
_RENAMED_CLICK_IDS = {
    "sccid": (CLICK, "sc_cid"),
    "ransiteid": (CLICK, "ran_site_id"),
    "_hsenc": (CLICK, "hsenc"),
    "igsh": (CLICK, "igshid"),
    "oborigurl": (CLICK, "dicbo"),
}
_PERSONAL_PARAMETERS = """
    mc_eid mkt_tok _kx email e-mail e_mail mail email_address emailaddress useremail user_email phone phone_number tel
    telephone mobile firstname first_name lastname last_name surname birthdate dob ssn address street token access_token
    id_token refresh_token auth auth_token authtoken session sessionid session_id jsessionid phpsessid password passwd
    pwd secret api_key apikey jwt otp vero_id ck_subscriber_id subscriber_id
"""

COMMON: Final = frozenset({"name", "nom", "nombre", "zip", "plz"})
"""Words that are personal as a parameter of their own, and may mean anything in a campaign's words or a path."""

MAILERS: Final = {"_hsmi": "hubspot", "mc_eid": "mailchimp", "mkt_tok": "marketo", "_kx": "klaviyo", "vero_id": "vero"}
"""Parameter that only the links of a mailing carry -> who sends it. Personal ones are cut; whose they are stays."""

PARAMETERS: Final[dict[str, tuple[str, str]]] = {
    **{name: (UTM, name.removeprefix("utm_")) for name in _UTM_PARAMETERS.split()},
    **{name: (CLICK, name) for name in _CLICK_ID_PARAMETERS.split()},
    **_RENAMED_CLICK_IDS,
    **{name: (PERSONAL, name) for name in (*_PERSONAL_PARAMETERS.split(), *COMMON)},
    "_hsmi": (MAIL, "_hsmi"),
}
"""Parameter, in lower case -> (what it is, its name)."""


@lru_cache(4_096)
def find_parameter(name: str) -> tuple[str, str] | None:
    """Returns what a parameter is whose name is not written as the table has it."""
    plain = plainer(name)[-1].strip(" \t\r\n\0")
    found = PARAMETERS.get(plain.lower())
    if found is None and is_personal_name(plain):
        return PERSONAL, plain.lower()
    return found
