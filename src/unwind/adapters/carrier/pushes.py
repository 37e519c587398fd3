"""Pushes of carriers that do not sign them: a secret in the path, the sender's address where it is known, and our own query afterwards."""

import hmac
from ipaddress import ip_address, ip_network
from typing import Annotated

from pydantic import Field, SecretStr

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


def waybill_news(waybill_no: object, *, event_id: str, stage: Stage, kind: str = "parcel.moved") -> News:
    """One thing that is said of a parcel. Raises CallbackUnverified where no parcel is named."""
    if not isinstance(waybill_no, str) or not waybill_no or not waybill_no.isprintable():
        raise CallbackUnverified("malformed")
    if len(waybill_no) > NUMBER_LENGTH_MAX:
        raise CallbackUnverified("malformed")
    return News(event_id=event_id[:128], kind=kind, data={"waybill_no": waybill_no, "stage": stage.value})
