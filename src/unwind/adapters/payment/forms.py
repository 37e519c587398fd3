"""Callbacks that come as a form (Alipay, UnionPay)."""

from urllib.parse import parse_qsl

from unwind.ports.callback import CallbackUnverified

BODY_BYTES_MAX = 64_000
FIELDS_MAX = 100


def read_form(raw: bytes) -> dict[str, str]:
    """Fields of a form, each once. Raises CallbackUnverified."""
    if len(raw) > BODY_BYTES_MAX:
        raise CallbackUnverified("too_large")
    try:
        pairs = parse_qsl(raw.decode(), keep_blank_values=True, max_num_fields=FIELDS_MAX, errors="strict")
    except ValueError:
        raise CallbackUnverified("malformed") from None
    parameters = dict(pairs)
    if len(parameters) != len(pairs) or not parameters:
        raise CallbackUnverified("malformed")
    return parameters
