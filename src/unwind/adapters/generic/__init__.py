"""The generic signed HTTP contract, version 1 (docs/contracts/generic-http.md): one client, one adapter per party."""

from unwind.adapters.generic.callbacks import CallbackEvent, CallbackRefused, SignedCallbacks, verify_callback
from unwind.adapters.generic.carrier import GenericCarrier
from unwind.adapters.generic.client import SignedClient
from unwind.adapters.generic.notifier import GenericNotifier
from unwind.adapters.generic.payment import GenericPaymentGateway
from unwind.adapters.generic.shop import GenericShop
from unwind.adapters.generic.warehouse import GenericWarehouse

__all__ = [
    "CallbackEvent",
    "CallbackRefused",
    "GenericCarrier",
    "GenericNotifier",
    "GenericPaymentGateway",
    "GenericShop",
    "GenericWarehouse",
    "SignedCallbacks",
    "SignedClient",
    "verify_callback",
]
