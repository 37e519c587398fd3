"""Pushes of carriers: forms that carry a signed text; and where nothing is signed, a secret in the path and the sender's address where it is known.

Our own query follows either.
"""

import hashlib
import hmac
from ipaddress import ip_address, ip_network
from typing import Annotated, Any
from urllib.parse import parse_qs

from pydantic import Field, SecretStr

from unwind.adapters.fields import parse_object
from unwind.adapters.provider import ProviderSettings
from unwind.domain.stage import Stage
from unwind.ports.callback import CallbackUnverified, Incoming, News

BODY_BYTES_MAX = 256_000
NUMBER_LENGTH_MAX = 64


class SecretPathSettings(ProviderSettings):
    push_path: Annotated[SecretStr, Field(min_length=16)]
    """The secret last part of the address that the carrier is told: `/callbacks/{connection}/{push_path}`."""
    push_from: tuple[str, ...] = ()
    """Addresses or networks the carrier sends from; none: any."""


class SecretPath:
    def __init__(self, settings: SecretPathSettings) -> None:
        self._path = settings.push_path.get_secret_value()
        self._networks = [ip_network(one) for one in settings.push_from]

    def require_known(self, incoming: Incoming) -> None:
        """Raises CallbackUnverified for a stranger, before anything is parsed."""
        if len(incoming.body) > BODY_BYTES_MAX:
            raise CallbackUnverified("too_large")
        if not hmac.compare_digest(incoming.tail.encode(), self._path.encode()):
            raise CallbackUnverified("wrong_path")
        if self._networks and not self._is_from_carrier(incoming.peer):
            raise CallbackUnverified("wrong_sender")

    def _is_from_carrier(self, peer: str) -> bool:
        try:
            address = ip_address(peer)
        except ValueError:
            return False
        return any(address in network for network in self._networks)


def read_push_form(raw: bytes) -> dict[str, str]:
    """Fields of a push, the first of each name. Raises CallbackUnverified."""
    if len(raw) > BODY_BYTES_MAX:
        raise CallbackUnverified("too_large")
    try:
        form = parse_qs(raw.decode(), keep_blank_values=True, max_num_fields=20)
    except (UnicodeDecodeError, ValueError):
        raise CallbackUnverified("malformed") from None
    return {name: values[0] for name, values in form.items()}


def read_push_text(text: str) -> dict[str, Any]:
    """The object that a form carries as text. Raises CallbackUnverified."""
    body = parse_object(text)
    if body is None:
        raise CallbackUnverified("malformed")
    return body


def id_of_content(raw: bytes) -> str:
    """Tells a repeat where a push has no number of its own."""
    return hashlib.sha256(raw).hexdigest()[:40]


def waybill_news(waybill_no: object, *, event_id: str, stage: Stage, kind: str = "parcel.moved") -> News:
    """One thing that is said of a parcel. Raises CallbackUnverified where no parcel is named."""
    if not isinstance(waybill_no, str) or not waybill_no or not waybill_no.isprintable():
        raise CallbackUnverified("malformed")
    if len(waybill_no) > NUMBER_LENGTH_MAX:
        raise CallbackUnverified("malformed")
    return News(event_id=event_id[:128], kind=kind, data={"waybill_no": waybill_no, "stage": stage.value})
