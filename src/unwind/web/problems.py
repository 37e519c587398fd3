"""Errors as RFC 9457 problem details: a stable code, a title in the asker's language, nothing of what was sent."""

from collections.abc import Mapping
from http import HTTPStatus

import structlog
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from unwind.domain.errors import Refusal
from unwind.logs import place_of
from unwind.storage.database import to_json

log = structlog.get_logger()

CATALOG: dict[str, tuple[int, str, str]] = {
    "unauthorised": (401, "请先登录或提供有效凭证", "Sign in or present a valid credential"),
    "token_expired": (401, "链接已过期,请重新进入", "The link has expired; open it again"),
    "sign_in_refused": (401, "账号、密码或验证码不正确", "The login, the password or the code is not right"),
    "second_factor_needed": (401, "请输入动态验证码", "The code of the second factor is needed"),
    "too_many_attempts": (429, "尝试次数过多,请稍后再试", "Too many attempts; try again later"),
    "header_missing": (403, "缺少防跨站请求头", "The header against cross-site requests is missing"),
    "password_too_short": (422, "密码太短", "The password is too short"),
    "password_has_login": (422, "密码不能包含登录名", "The password contains the login name"),
    "password_too_simple": (422, "密码太简单", "The password is too simple"),
    "password_is_public": (422, "演示密码不能使用", "The demo's passwords may not be used"),
    "password_is_the_same": (422, "新密码不能与旧密码相同", "The new password is the old one"),
    "account_is_elsewhere": (409, "该账号由统一身份平台管理", "The account is the identity provider's"),
    "no_enrolment": (409, "请先开始绑定动态验证码", "No second factor is being set up"),
    "code_wrong": (422, "验证码不正确", "The code is not right"),
    "login_taken": (409, "登录名已被使用", "The login is taken"),
    "name_taken": (409, "名称已被使用", "The name is taken"),
    "role_not_allowed": (422, "不能使用该角色", "Not a role for this"),
    "merchant_needed": (422, "请指明所属商家", "Name the merchant"),
    "scopes_exceed_role": (422, "权限超出角色范围", "More scopes than the role has"),
    "not_yourself": (409, "不能对自己的账号进行此操作", "Not for your own account"),
    "already_over": (422, "时间已过", "That time has passed"),
    "forbidden": (403, "没有权限进行此操作", "You may not do this"),
    "not_found": (404, "没有找到", "Not found"),
    "unknown_merchant": (404, "没有这个商家", "No such merchant"),
    "body_too_large": (413, "请求内容过大", "The request is too large"),
    "invalid": (422, "请求内容不正确", "The request is not valid"),
    "not_json": (422, "请求不是有效的 JSON", "The request is not valid JSON"),
    "unknown_line": (422, "订单中没有这个商品行", "The order has no such line"),
    "duplicate_line": (422, "商品行重复", "A line appears twice"),
    "quantity_not_positive": (422, "数量必须大于零", "The quantity must be positive"),
    "quantity_too_large": (422, "数量超过可取消的数量", "More units than can still be taken back"),
    "discount_above_goods": (422, "优惠金额超过商品金额", "The discount exceeds the goods"),
    "discount_not_allocated": (422, "优惠分摊与总额不符", "The discount's allocation does not add up"),
    "capture_below_share": (422, "已付金额小于本单应分摊金额", "Less was captured than this order's share"),
    "unknown_event": (422, "未知的事件类型", "Unknown kind of event"),
    "idempotency_mismatch": (422, "同一个幂等键用于不同的请求", "This idempotency key was used for another request"),
    "currency_changed": (409, "订单币种不能更改", "The currency of an order cannot change"),
    "lines_changed": (409, "商品行的数量和价格不能更改", "Quantities and prices of an order cannot change"),
    "stock_short": (409, "库存不足", "Not enough stock"),
    "nothing_to_cancel": (409, "没有可以取消的商品", "There is nothing left to cancel"),
    "stale": (409, "内容已更新,请按最新数据重试", "Something has changed meanwhile; look again"),
    "not_in_review": (409, "该工单不在人工处理中", "The case does not wait for a decision"),
    "nothing_to_decide": (409, "没有需要决定的部分", "Nothing of this case waits for a decision"),
    "name_one_part_and_its_lines": (422, "请指明一个分段及其中的一部分商品", "Name one part and some of its lines"),
    "only_for_questions": (
        409,
        "只有咨询和事后工单可以直接答复",
        "Only inquiries and aftermath cases are answered like this",
    ),
    "past_no_return": (409, "已过不可逆点,无法撤回", "Past the point of no return"),
    "legs_unfinished": (409, "已有步骤在进行,不能重新计划", "Steps are under way; it cannot be planned anew"),
    "order_changed": (409, "订单已变化,请按最新数据重试", "The order has changed; look again"),
    "no_parcel_to_recall": (409, "还没有可以拦截的包裹", "There is no parcel to recall yet"),
    "nothing_to_refuse": (409, "包裹不在派送途中,无法拒收", "There is no parcel on its way to refuse"),
    "nothing_to_send_back": (409, "商品尚未签收,无需寄回", "Nothing has arrived that could be sent back"),
    "name_one_part": (422, "请指明一个分段", "Name one part"),
    "deduction_too_large": (409, "扣除金额超过应退金额", "More would be kept than there is to return"),
    "consent_needed": (
        409,
        "退款少于实付,需先取得买家同意",
        "It returns less than was paid: the buyer has to agree first",
    ),
    "nothing_to_keep_from": (
        422,
        "该决定不退款,不能由买家承担费用",
        "This choice returns nothing that could be kept from",
    ),
    "nothing_to_compensate_with": (422, "该决定不能附带补偿", "This choice cannot carry a compensation"),
    "nothing_to_consent": (409, "该方案不扣款,无需买家同意", "This plan keeps nothing; no consent is needed"),
    "different_person_needed": (403, "须由另一位人员处理", "Another person has to do this"),
    "question_closed": (409, "该问题已有答复或已结束", "The question has been answered or is over"),
    "too_many_questions": (409, "该工单的询问次数已达上限", "Too many questions on one case"),
    "reference_needed": (422, "请注明通话或消息编号", "Name the call or message that proves it"),
    "address_needed": (
        422,
        "同意改址时须填写新地址,其他情况不填",
        "A new address belongs to this answer, and only to this one",
    ),
    "offer_not_allowed": (409, "该情形不能提供此挽留方案", "This may not be offered here"),
    "one_offer_only": (409, "每个工单只能挽留一次", "One offer per case"),
    "promise_not_sensible": (422, "承诺时间须在未来30天内", "The promised moment must lie within the next 30 days"),
    "goodwill_exceeded": (409, "超过可补偿的额度", "More than may be given away"),
    "not_declined": (409, "该申请未被驳回", "It was not declined"),
    "appeal_decided": (409, "申诉已有结果,不能再次申诉", "The appeal has been decided"),
    "not_by_link": (409, "该任务涉及资金,须登录后办理", "This task moves money: somebody who has signed in answers it"),
    "not_by_hand": (409, "该步骤不能人工登记结果", "This step's outcome is not noted by hand"),
    "nothing_to_note": (409, "该步骤不在等待结果", "This step waits for no outcome"),
    "attachment_type": (422, "只支持 JPEG、PNG、WebP 图片和 PDF", "Only JPEG, PNG and WebP pictures and PDF"),
    "attachment_too_large": (413, "附件不能超过 5 MB", "An attachment has at most 5 MB"),
    "too_many_attachments": (409, "附件数量已达上限", "No more attachments on this case"),
    "nothing_to_retry": (409, "没有可以重试的步骤", "There is nothing to try again"),
    "not_abnormal": (409, "该退款没有异常", "This refund is not abnormal"),
    "no_other_account": (409, "该渠道不支持改退其他账户", "This gateway cannot send it to another account"),
    "not_blocked": (409, "该退款没有停住,无需另行处理", "This refund is not blocked"),
    "payee_name_unknown": (
        409,
        "订单没有付款人姓名,无法核对,只能退至商户账户",
        "No name stands with the order to compare with: only the merchant's own account is left",
    ),
    "payee_name_differs": (409, "收款人姓名与付款人不一致", "The holder's name is not the payer's"),
    "payout_waits": (
        409,
        "该退款已有提议,等待另一位人员同意",
        "It has been proposed already and waits for a second person",
    ),
    "payout_closed": (409, "该提议已有结果", "The proposal is closed"),
    "payout_expired": (409, "该提议已超过24小时,请重新提出", "The proposal is older than a day: propose it again"),
    "payout_not_yours": (403, "只有提出人可以撤回", "Only whoever proposed it takes it back"),
    "ask_gateway_first": (
        409,
        "退款结果未知,可能已到账,请先向渠道查询",
        "The outcome is unknown and it may have arrived: ask the gateway first",
    ),
    "amount_differs": (422, "金额与应退金额不一致", "The amount is not the one that is owed"),
    "proof_date_unsound": (422, "付款日期须在申请之后、今天之前", "Paid between the request and today"),
    "claim_exists": (409, "该费用已提出索赔", "This cost has been claimed already"),
    "claim_cannot_move": (409, "索赔不能这样流转", "The claim does not move like this from where it is"),
    "more_than_claimed": (422, "金额超过索赔金额", "More than was claimed"),
    "due_in_the_past": (422, "期限须在将来", "The due time has passed"),
    "no_such_parcel": (422, "订单中没有这个包裹", "The order has no such parcel"),
    "no_such_cost": (422, "工单中没有这笔费用", "The case has no such cost"),
    "claim_settles_it": (409, "该费用由索赔结清", "Its claim settles this cost"),
    "cost_settled": (409, "该费用已结清", "The cost is settled already"),
    "proof_unknown": (422, "工单中没有这个附件", "The case has no such attachment"),
    "period_needed": (422, "请指明工单,或不超过366天的起止时间", "Name a case, or a period of at most 366 days"),
    "month_not_begun": (422, "该月份尚未开始", "That month has not begun"),
    "no_such_sheet": (422, "没有这个工作表,或该格式不能单独导出", "No such sheet, or not in this format"),
    "nothing_to_book": (409, "该差异没有可登记的金额", "This difference has nothing to book"),
    "more_than_left": (409, "金额超过该支付的可退余额", "More than the payment still holds"),
    "task_answered": (409, "任务已被处理", "The task has been answered"),
    "claimed_by_other": (409, "该工单正由他人处理", "Somebody else works on this case"),
    "claim_is_not_yours": (409, "该工单不在您手中", "You do not hold this case"),
    "escalated": (403, "该工单已升级,仅组长可处理", "The case went to the leads"),
    "not_on_duty": (409, "对方或您未在岗", "Not on duty"),
    "no_room": (409, "手中工单已达上限", "As many cases as one may hold"),
    "case_closed": (409, "工单已归档", "The case is closed"),
    "text_not_allowed": (422, "这段话不能发给买家", "This may not be written to a buyer"),
    "unknown_variable": (422, "话术中有未知的变量", "The script names a variable that does not exist"),
    "buyer_asked_already": (409, "已在等待买家答复", "The buyer has been asked already"),
    "nobody_asked": (409, "没有等待买家答复的问题", "The buyer was not asked anything"),
    "identity_required": (403, "请先核验来电人或到店人身份", "Check who asks first"),
    "identity_not_shown": (403, "核验未通过", "The check did not succeed"),
    "identity_locked": (429, "核验失败次数过多,请稍后再试", "Too many failed checks; try again later"),
    "code_not_sent": (409, "验证码未能发出", "The code could not be sent"),
    "store_missing": (422, "请提供门店和店员编号", "A store and an operator must be named"),
    "merchant_reason_needed": (
        422,
        "商家取消须注明原因和凭证",
        "A merchant's cancellation needs a reason and evidence",
    ),
    "promise_out_of_range": (422, "承诺时间须在30秒至14天之内", "A promise is due within 30 seconds to 14 days"),
    "promise_closed": (409, "该承诺已了结", "The promise is settled already"),
    "case_sealed": (409, "该工单已归档封存", "The case is archived and sealed"),
    "records_erased": (
        409,
        "该订单的个人信息已按要求销毁,不能再保存新的内容",
        "What was known of this order's people has been destroyed; nothing new is kept",
    ),
    "order_restricted": (
        409,
        "买家已要求删除个人信息,不能查看",
        "The buyer has asked to be forgotten; nothing of theirs is shown",
    ),
    "phrase_unfit": (
        422,
        "短语须为2至30个字的普通用语,且指向一个具体原因",
        "A phrase is 2 to 30 letters of plain words for one reason",
    ),
    "phrase_personal": (422, "短语不能包含数字或人名", "A phrase holds no digit and nobody's name"),
    "phrase_makes_worse": (422, "加入该短语后评测集变差", "With this phrase our own texts would be read worse"),
    "phrase_known": (409, "该短语已提交或已生效", "The phrase is proposed or in force already"),
    "too_many_phrases": (409, "生效的短语已达上限", "No more phrases may be in force"),
    "rating_closed": (409, "评价时间已过", "The time to rate is over"),
    "rate_first": (409, "请先打分", "Rate it first"),
    "not_your_case": (403, "您没有在处理该工单", "You do not work on this case"),
    "not_for_this_reason": (422, "该事由不需要查看这些信息", "The reason does not need these fields"),
    "period_too_short": (422, "保存期限短于法定或最低期限", "Shorter than it has to be kept"),
    "outcome_saved": (409, "该通话已登记结果", "The call has its outcome already"),
    "token_in_url": (401, "凭证不得放在网址中", "A credential does not belong into an address"),
    "not_your_call": (403, "该来电不是分配给您的", "The call is not yours"),
    "nobody_there": (409, "没有这位同事,或其无权接手", "No such colleague, or they may not take it"),
    "handed_over_already": (409, "该工单已交班,等待接班确认", "Already handed over; not confirmed yet"),
    "nothing_to_take": (409, "没有交给您的工单", "Nothing was handed over to you"),
    "buyer_must_agree": (409, "须买家同意后才能取消", "The buyer has to agree first"),
    "evidence_needed": (422, "请填写凭证编号", "A reference that proves it is needed"),
    "confirmation_needed": (
        422,
        "购方已入账:请填写购方确认单编号",
        "The buyer has booked the invoice: where they confirmed the red letter is needed",
    ),
    "not_waivable": (409, "该步骤不能放弃", "This step cannot be waived"),
    "calendar_unsound": (422, "工作日历不正确", "The calendar cannot be worked by"),
    "targets_unsound": (422, "时限设置不正确", "The target minutes are not sensible"),
    "scan_from_the_future": (
        422,
        "扫描时间晚于当前时间,请校准设备时钟",
        "Scanned later than now: set the device's clock",
    ),
    "scan_too_old": (422, "扫描时间过早,超过7天", "Scanned more than seven days ago"),
    "already_left": (409, "包裹已被承运商揽收,无法确认拦截", "The carrier has it: it cannot be stopped here"),
    "name_the_parcel": (409, "该单有多个待收包裹,请扫描运单号", "Several parcels are awaited: scan the waybill"),
    "inspection_does_not_add_up": (422, "验收数量与应收数量不符", "The units found are not the units awaited"),
    "photo_needed": (
        422,
        "次品、报废、短少须附到仓后拍摄的照片",
        "Second, scrap and short need a photo taken on arrival",
    ),
    "return_unexpected": (409, "该包裹无对应的待收退货", "Nobody awaits this parcel"),
    "return_inspected": (409, "该退货已验收", "It has been inspected already"),
    "return_closed": (409, "该包裹已处理", "It has been dealt with"),
    "report_needed": (
        409,
        "提升自动化级别需要一天内的对比报告,或由第二人同意",
        "A step upwards needs a report of the last day, or a second person",
    ),
    "report_not_ready": (409, "对比报告尚未达标", "The report does not prove it yet"),
    "unknown_connection": (404, "没有这个连接", "There is no such connection"),
    "promotion_unsound": (422, "大促设置不正确", "The promotion is not sensible"),
    "promotion_begun": (
        409,
        "大促已开始,不能修改;请撤回后新建",
        "The promotion has begun: take it back and set another",
    ),
    "nothing_to_change": (409, "没有变化", "Nothing would change"),
    "breaker_closed": (409, "熔断已解除", "The breaker is closed already"),
    "callback_refused": (401, "回调签名无效", "The callback's signature is not valid"),
    "too_many_requests": (429, "请求过于频繁", "Too many requests"),
    "unavailable": (503, "服务暂时不可用,请稍后重试", "Temporarily unavailable; try again"),
    "internal": (500, "服务出错,未做任何更改", "Something went wrong; nothing was changed"),
}


def problem(
    request: Request, code: str, *, facts: Mapping[str, object] | None = None, status: int | None = None
) -> Response:
    known_status, zh, en = CATALOG.get(code, CATALOG["invalid"])
    number = status or known_status
    wants_english = request.headers.get("accept-language", "zh").lower().startswith("en")
    body = {
        "type": f"urn:unwind:problem:{code}",
        "title": en if wants_english else zh,
        "status": number,
        "code": code,
        "detail": {"zh": zh, "en": en},
        **({"facts": dict(facts)} if facts else {}),
    }
    return Response(to_json(body), status_code=number, media_type="application/problem+json")


async def on_refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)  # noqa: S101 - registered for this type
    return problem(request, error.code, facts=error.facts)


async def on_validation(request: Request, error: Exception) -> Response:
    """Says where the request is wrong and how, never what was sent."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this type
    places = [{"at": ".".join(str(step) for step in e["loc"]), "problem": e["type"]} for e in error.errors()[:20]]
    is_json_error = any(place["problem"] == "json_invalid" for place in places)
    return problem(request, "not_json" if is_json_error else "invalid", facts={"fields": places})


async def on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this type
    code = {400: "not_json", 401: "unauthorised", 403: "forbidden", 404: "not_found", 413: "body_too_large"}.get(
        error.status_code, "invalid"
    )
    return problem(request, code, status=None if error.status_code == HTTPStatus.BAD_REQUEST else error.status_code)


async def on_unfit_text(request: Request, error: Exception) -> Response:
    """No column holds a NUL, wherever in a request it came from; what else the database cannot read is ours to mend."""
    return problem(request, "invalid") if "NUL (0x00)" in str(error) else await on_crash(request, error)


async def on_crash(request: Request, error: Exception) -> Response:
    log.error(
        "request_failed",
        error=type(error).__name__,
        where=place_of(error),
        path=request.scope["route"].path if "route" in request.scope else "",
    )
    return problem(request, "internal")
