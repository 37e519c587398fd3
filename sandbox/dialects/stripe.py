"""Stripe's API, played from its documentation (docs.stripe.com/refunds, /webhooks): bearer key, forms in, JSON out, answers unsigned.

A refund's number in the world is its idempotency key; its metadata is kept with it. `trade_no` of the world is the id that the merchant
uses; the payment intent, charge and session of one payment share what follows their prefix. Codes beside those of the documentation's
error types are (unverified).
"""

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from sandbox.answers import Answer
from sandbox.callbacks import Letter
from sandbox.dialects.frame import Answered, Asked
from sandbox.keyring import Keyring
from sandbox.payment import find_refund
from sandbox.world import World

REPEAT_AFTER_S = (300, 1800, 7200, 18000, 36000, 43200, 43200, 43200)
"""(unverified): spread over three days."""
STATUS_WORDS = {"PROCESSING": "pending", "SUCCESS": "succeeded", "CLOSED": "canceled", "ABNORMAL": "failed"}
INTENT_WORDS = {"UNPAID": "requires_payment_method", "PAID": "succeeded", "CLOSED": "canceled"}
REFUSALS: dict[str, tuple[int, dict[str, str]]] = {
    "PARAM_ERROR": (400, {"type": "invalid_request_error"}),
    "NOT_FOUND": (404, {"type": "invalid_request_error", "code": "resource_missing"}),
    "NUMBER_REUSED": (400, {"type": "idempotency_error"}),
    "NOT_ENOUGH": (400, {"type": "invalid_request_error", "code": "balance_insufficient"}),
    "OVER_REFUND": (400, {"type": "invalid_request_error", "param": "amount"}),
    "NOT_PAID": (400, {"type": "invalid_request_error", "code": "payment_intent_unexpected_state"}),
    "TRADE_CLOSED": (400, {"type": "invalid_request_error", "code": "payment_intent_unexpected_state"}),
    "RATE_LIMITED": (429, {"type": "invalid_request_error", "code": "rate_limit"}),
    "SYSTEM_ERROR": (500, {"type": "api_error"}),
}
FOUND = 200
PREFIXES = {"/v1/payment_intents/": "pi", "/v1/charges/": "ch", "/v1/checkout/sessions/": "cs"}


class StripeDialect:
    provider = "stripe"
    repeat_after_s: tuple[float, ...] = REPEAT_AFTER_S

    def __init__(self, world: World, keyring: Keyring) -> None:
        self._world, self._keyring = world, keyring

    def secret_key(self, connection: str) -> str:
        return self._keyring.text(connection, "secret_key", lambda: f"sk_test_{secrets.token_hex(16)}")

    def webhook_secret(self, connection: str) -> str:
        return self._keyring.text(connection, "webhook_secret", lambda: f"whsec_{secrets.token_hex(16)}")

    def settings(self, connection: str, base_url: str) -> dict[str, Any]:
        return {
            "provider": self.provider,
            "base_url": base_url,
            "secret_key": self.secret_key(connection),
            "webhook_secret": self.webhook_secret(connection),
        }

    def read(self, connection: str, request: Request, path: str, raw: bytes) -> Asked:
        given = dict(parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True))
        given = {**dict(request.query_params), **given}
        bearer = request.headers.get("authorization", "")
        if not hmac.compare_digest(bearer.encode(), f"Bearer {self.secret_key(connection)}".encode()):
            raise Answered(error_response(401, {"type": "invalid_request_error"}), code="SIGN_ERROR")
        asked = self._understand(connection, request, path, given)
        if asked is None:
            raise Answered(error_response(404, {"type": "invalid_request_error"}), code="NO_SUCH_CALL")
        return asked

    def _understand(self, connection: str, request: Request, path: str, given: Mapping[str, str]) -> Asked | None:
        if path == "/v1/refunds" and request.method == "POST":
            return self._understand_refund(connection, given, request.headers.get("idempotency-key", ""))
        if path == "/v1/refunds" and request.method == "GET":
            return self._understand_list(connection, given)
        if path.startswith("/v1/refunds/") and request.method == "GET":
            return self._understand_retrieval(connection, path.removeprefix("/v1/refunds/"))
        for beginning, prefix in PREFIXES.items():
            if path.startswith(beginning):
                number, _, verb = path.removeprefix(beginning).partition("/")
                is_closing = request.method == "POST" and (prefix, verb) in {("pi", "cancel"), ("cs", "expire")}
                if not is_closing and (verb or request.method != "GET"):
                    return None
                operation = "payment.close" if is_closing else "payment.trade_query"
                trade_no = self.trade_no(connection, number)
                return Asked(operation=operation, body={"trade_no": trade_no}, context={"id": number, "prefix": prefix})
        return None

    def _understand_refund(self, connection: str, given: Mapping[str, str], key: str) -> Asked:
        named = given.get("payment_intent") or given.get("charge") or ""
        trade_no = self.trade_no(connection, named)
        trade = self.trade(connection, trade_no)
        amount = given.get("amount") or (str(trade["amount_minor"]) if trade is not None else "1")
        metadata = {name[9:-1]: value for name, value in given.items() if name.startswith("metadata[")}
        return Asked(
            operation="payment.refund",
            body={
                "trade_no": trade_no,
                "refund_no": key or secrets.token_hex(16),
                "amount_minor": int(amount) if amount.isdigit() else 0,
                "total_minor": trade["amount_minor"] if trade is not None else 1,
                "currency": trade["currency"] if trade is not None else "USD",
                "detail": json.dumps(metadata, ensure_ascii=False) if metadata else "",
            },
        )

    def _understand_list(self, connection: str, given: Mapping[str, str]) -> Asked:
        """The world is asked for one of them, so that faults and notes have a refund to speak of; the answer shows them all."""
        trade_no = self.trade_no(connection, given.get("payment_intent") or given.get("charge") or "")
        refunds = self.refunds_of(connection, trade_no)
        limit = int(given["limit"]) if given.get("limit", "").isdigit() else 10
        context = {"trade_no": trade_no, "limit": limit, "after": given.get("starting_after", "")}
        number = refunds[0]["refund_no"] if refunds else f"none:{trade_no}"
        body = {"refund_no": number, "trade_no": trade_no or "none"}
        return Asked(operation="payment.refund_query", body=body, context=context)

    def _understand_retrieval(self, connection: str, refund_id: str) -> Asked:
        row = self._world.ledger.one(
            "SELECT * FROM refunds WHERE connection = ? AND reference = ?", connection, f"rf_{refund_id[3:]}"
        )
        body = {"refund_no": row["refund_no"], "trade_no": row["trade_no"]} if row is not None else {}
        return Asked(operation="payment.refund_query", body=body or {"refund_no": "none", "trade_no": "none"})

    def trade_no(self, connection: str, number: str) -> str:
        """As the world knows the payment, whichever of its ids is given; the id itself where it knows none."""
        candidates = [number, *(f"{prefix}_{number[3:]}" for prefix in ("pi", "ch", "cs"))]
        return next((one for one in candidates if self.trade(connection, one) is not None), number or "none")

    def trade(self, connection: str, trade_no: str) -> Any:
        return self._world.ledger.one(
            "SELECT * FROM trades WHERE connection = ? AND trade_no = ?", connection, trade_no
        )

    def refunds_of(self, connection: str, trade_no: str) -> list[Any]:
        """Newest first."""
        return self._world.ledger.all(
            "SELECT * FROM refunds WHERE connection = ? AND trade_no = ? ORDER BY accepted_at_ns DESC",
            *(connection, trade_no),
        )

    def refund_object(self, connection: str, refund_no: str) -> dict[str, Any]:
        refund = find_refund(self._world, connection, refund_no)
        if refund is None:
            raise KeyError(refund_no)
        status = STATUS_WORDS[refund["status"]]
        shown = {
            "id": f"re_{refund['reference'][3:]}",
            "object": "refund",
            "amount": refund["amount_minor"],
            "charge": f"ch_{refund['trade_no'][3:]}",
            "payment_intent": f"pi_{refund['trade_no'][3:]}",
            "currency": refund["currency"].lower(),
            "created": refund["accepted_at_ns"] // 10**9,
            "metadata": json.loads(refund["detail"]) if refund["detail"] else {},
            "reason": "requested_by_customer",
            "status": status,
        }
        if status == "failed":
            return {**shown, "failure_reason": "expired_or_canceled_card"}
        return {**shown, "pending_reason": "processing"} if status == "pending" else shown

    def trade_object(self, connection: str, trade_no: str, number: str, prefix: str) -> dict[str, Any]:
        trade = self.trade(connection, trade_no)
        is_paid, currency = trade["state"] == "PAID", trade["currency"].lower()
        common = {"id": number, "currency": currency, "metadata": {}}
        intent = {"payment_intent": f"pi_{number[3:]}"}
        match prefix:
            case "pi":
                received = trade["amount_minor"] if is_paid else 0
                amounts = {"amount": trade["amount_minor"], "amount_received": received}
                return {**common, **amounts, "object": "payment_intent", "status": INTENT_WORDS[trade["state"]]}
            case "ch":
                amounts = {"amount": trade["amount_minor"], "amount_captured": trade["amount_minor"] if is_paid else 0}
                word = "succeeded" if is_paid else "failed"
                return {**common, **amounts, **intent, "object": "charge", "captured": is_paid, "status": word}
            case _:
                word = {"PAID": "complete", "UNPAID": "open"}.get(trade["state"], "expired")
                paid = {"payment_status": "paid" if is_paid else "unpaid", "amount_total": trade["amount_minor"]}
                return {**common, **paid, **intent, "object": "checkout.session", "status": word}

    def responder(self, connection: str, asked: Asked) -> "StripeResponder":
        return StripeResponder(self, connection, asked)

    def letter(self, connection: str, event: Mapping[str, Any]) -> Letter | None:
        data, kind = event["data"], event["type"]
        if kind == "trade.paid":
            prefix = data["trade_no"][:2]
            event_type = "checkout.session.completed" if prefix == "cs" else "payment_intent.succeeded"
            shown = self.trade_object(connection, data["trade_no"], data["trade_no"], prefix)
            content: dict[str, Any] = {"object": shown}
        else:
            content = {"object": self.refund_object(connection, data["refund_no"])}
            event_type = "refund.failed" if kind == "refund.reversed" else "refund.updated"
            if event_type == "refund.updated":
                content["previous_attributes"] = {"status": "pending"}
        body = json.dumps(
            {
                "id": event["event_id"],
                "object": "event",
                "api_version": "2026-01-28",
                "created": int(datetime.fromisoformat(event["created_at"]).timestamp()),
                "livemode": False,
                "pending_webhooks": 1,
                "type": event_type,
                "data": content,
            },
            ensure_ascii=False,
        ).encode()
        timestamp = str(int(self._world.now()))
        secret = self.webhook_secret(connection).encode()
        signature = hmac.new(secret, f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
        headers = {"Stripe-Signature": f"t={timestamp},v1={signature},v0={'0' * 64}"}
        return Letter(body=body, headers={**headers, "Content-Type": "application/json; charset=utf-8"})

    def is_taken(self, status: int, body: bytes) -> bool:
        del body
        return 200 <= status < 300  # noqa: PLR2004


class StripeResponder:
    def __init__(self, dialect: StripeDialect, connection: str, asked: Asked) -> None:
        self._dialect, self._connection, self._asked = dialect, connection, asked

    def respond(self, answer: Answer) -> Response:
        is_list = self._asked.operation == "payment.refund_query" and "limit" in self._asked.context
        if answer.status != FOUND and not (is_list and self._is_trade_known()):
            status, error = REFUSALS[str(answer.body["code"])]
            return error_response(status, error)
        if self._asked.operation == "payment.close" and answer.body["state"] == "PAID":
            status, error = REFUSALS["NOT_PAID"]
            return error_response(status, error)
        return _json(200, self._object(answer))

    def respond_badly_signed(self, answer: Answer) -> Response:
        """Nothing is signed: what cannot be trusted is what something in between has put in its place."""
        del answer
        return Response("<html><body>welcome</body></html>", media_type="text/html")

    def respond_malformed(self, answer: Answer) -> Response:
        whole = bytes(self.respond(answer).body)
        return Response(whole[: len(whole) // 2], media_type="application/json")

    def respond_of_another(self, answer: Answer) -> Response:
        other = {"id": "re_OTHER", "object": "refund", "payment_intent": "pi_OTHER", "charge": "ch_OTHER"}
        stranger = {**other, "status": "succeeded", "amount": 1, "currency": "cny", "metadata": {"refund_key": "OTHER"}}
        if self._asked.operation == "payment.refund_query":
            return _json(200, {"object": "list", "data": [stranger], "has_more": False})
        if self._asked.operation == "payment.refund":
            return _json(200, stranger)
        shown = self._object(answer) if answer.status == FOUND else stranger
        return _json(200, {**shown, "id": f"{self._asked.context['prefix']}_OTHER"})

    def rate_limited(self) -> Response:
        status, error = REFUSALS["RATE_LIMITED"]
        return error_response(status, error)

    def system_error(self) -> Response:
        status, error = REFUSALS["SYSTEM_ERROR"]
        return error_response(status, error)

    def _is_trade_known(self) -> bool:
        trade = self._dialect.trade(self._connection, self._asked.context["trade_no"])
        return trade is not None and trade["state"] != "NONE"

    def _object(self, answer: Answer) -> dict[str, Any]:
        context = self._asked.context
        match self._asked.operation:
            case "payment.refund_query" if "limit" in context:
                return self._list()
            case "payment.refund" | "payment.refund_query":
                return self._dialect.refund_object(self._connection, answer.body["refund_no"])
            case _:
                return self._dialect.trade_object(
                    self._connection, answer.body["trade_no"], context["id"], context["prefix"]
                )

    def _list(self) -> dict[str, Any]:
        context = self._asked.context
        rows = self._dialect.refunds_of(self._connection, context["trade_no"])
        shown = [self._dialect.refund_object(self._connection, row["refund_no"]) for row in rows]
        if context["after"]:
            ids = [one["id"] for one in shown]
            shown = shown[ids.index(context["after"]) + 1 :] if context["after"] in ids else []
        page = shown[: context["limit"]]
        return {"object": "list", "url": "/v1/refunds", "data": page, "has_more": len(shown) > len(page)}


def error_response(status: int, error: Mapping[str, str]) -> Response:
    return _json(status, {"error": {"message": "说明", **error}})


def _json(status: int, body: Mapping[str, Any]) -> Response:
    headers = {"Request-Id": f"req_{secrets.token_hex(7)}"}
    return Response(
        json.dumps(body, ensure_ascii=False), status_code=status, headers=headers, media_type="application/json"
    )
