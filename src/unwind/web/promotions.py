"""For those who plan promotions (大促): set one, see beforehand what it changes, take it back."""

from fastapi import APIRouter
from starlette.responses import Response

from unwind.domain.access import Scope, authorise
from unwind.flow import promotions
from unwind.storage import promotions as stored
from unwind.web.access import Caller, Wired
from unwind.web.responses import ERRORS, json_response
from unwind.web.schemas.fields import Id
from unwind.web.schemas.trust import PromotionIn

router = APIRouter(prefix="/api/v1/admin", tags=["promotions"])


@router.get("/promotions", responses=ERRORS)
async def list_promotions(services: Wired, caller: Caller) -> Response:
    """The newest first, with what was taken back or is over."""
    authorise(caller, Scope.OPERATIONS_READ)
    async with services.database.connection() as conn:
        return json_response({"promotions": await stored.list_promotions(conn, caller.merchant_id)})


@router.put("/promotions/{promotion_id}", responses=ERRORS)
async def put_promotion(services: Wired, caller: Caller, promotion_id: Id, body: PromotionIn) -> Response:
    """Begins and ends by itself. Field by field the platform's word comes before a shop's, and that before a merchant's."""
    overlaps = await promotions.put_promotion(services, caller, body.document(promotion_id))
    return json_response({"promotion_id": promotion_id, "overlaps": overlaps})


@router.post("/promotions/{promotion_id}/preview", responses=ERRORS)
async def preview_promotion(services: Wired, caller: Caller, promotion_id: Id, body: PromotionIn) -> Response:
    """What would hold at its beginning, merchant by merchant, before and after. Writes nothing."""
    return json_response(await promotions.preview(services, caller, body.document(promotion_id)))


@router.delete("/promotions/{promotion_id}", responses=ERRORS)
async def take_back(services: Wired, caller: Caller, promotion_id: Id) -> Response:
    """Ends now, or never begins. It stays on record."""
    await promotions.take_back(services, caller, promotion_id)
    return json_response({"promotion_id": promotion_id, "state": "over"})
