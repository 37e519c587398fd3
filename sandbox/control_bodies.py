"""What the control calls take. Unknown fields are refused, so that a misspelt dial is not silently without effect."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(min_length=1, max_length=128)]
Behaviour = Literal["cancel", "reject", "pending_then_cancel", "pending_then_reject", "silent"]


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Trade(Model):
    connection: Name
    trade_no: Name
    amount_minor: Annotated[int, Field(gt=0, strict=True)]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = "CNY"
    state: Literal["UNPAID", "PAID", "CLOSED", "none"] = "PAID"
    order_no: str = ""
    paid_at: float | None = None
    """Unix seconds; left out: now, for a trade that is paid."""


class StaffRefund(Model):
    connection: Name
    trade_no: Name
    refund_no: Name
    amount_minor: Annotated[int, Field(gt=0, strict=True)]


class RefundState(Model):
    state: Literal["SUCCESS", "CLOSED", "ABNORMAL", "REVERSED"]


class Outbound(Model):
    connection: Name
    no: Name
    order_no: str = ""
    stage: Literal["NEW", "PICKING", "PACKED", "LABEL_PRINTED", "HANDED_OVER"] = "NEW"
    behaviour: Behaviour = "cancel"
    delay_s: float = 30.0


class OutboundStage(Model):
    stage: Literal["NEW", "PICKING", "PACKED", "LABEL_PRINTED", "HANDED_OVER"]


class RouteEvent(Model):
    stage: str
    place: str = ""
    at: str | None = None
    is_told: bool = True
    """False: the scan exists but the carrier has not passed it on; `fed_at` stays behind."""


class Waybill(Model):
    connection: Name
    no: Name
    order_no: str = ""
    stage: str = "in_transit"
    behaviour: Literal["recall_ok", "recall_fails", "delivered_first", "refuse"] = "recall_ok"
    delay_s: float = 60.0
    return_after_s: float | None = None
    fed_at: str | None = None
    events: list[RouteEvent] = []


class FedAt(Model):
    fed_at: str | None


class ShopOrder(Model):
    connection: Name
    order_id: Name
    behaviour: Behaviour = "cancel"
    delay_s: float = 30.0


class ConnectionModes(Model):
    balance_minor: int | None = None
    refund_mode: Literal["final", "delayed", "stuck"] | None = None
    refund_delay_s: float | None = None
    refund_final: Literal["SUCCESS", "CLOSED", "ABNORMAL"] | None = None
    refund_spacing_s: float = 0.0
    message_result: Literal["SENT", "FAILED"] | None = None


class FaultDial(Model):
    connection: str = "*"
    operation: str = "*"
    fault: str
    times: Annotated[int, Field(gt=0)] = 1
    seconds: float | None = None
    retry_after_s: int | None = None


class RandomFaults(Model):
    connection: str = "*"
    rate: Annotated[float, Field(ge=0, le=1)]
    seed: int = 0
    faults: list[str] | None = None
