"""How English-speaking buyers say it; same form as the Chinese lexicon, one pattern per line.

Patterns are tried at word starts and end at word ends. Texts arrive folded: lower case, straight apostrophes.
"""

from typing import Final

from unwind.tagging.rules import RuleRows

MACROS: Final = {
    "ADDR": "address(?:es)?|adress|addres|zip ?code|postcode|postal code|apartment number|apt number|apt|flat number|house number|"
    "unit number|street(?: name| number)?|pick-?up (?:point|location|store|spot)|collection point|delivery location|shipping location|"
    "destination|town|city|suburb|building number|location|branch|locker|drop-?off point",
    "NAME": "phone(?: number| no)?|mobile(?: number)?|cell(?: number)?|contact (?:number|details|info|name|person)|recipient(?:'s)?(?: name)?|"
    "surname|first name|last name|name|id (?:number|card)|passport(?: number)?|number|e-?mail(?: address)?|receiver|customs (?:id|info|code)|"
    "id|consignee",
    "INV": "invoice|tax (?:id|number)|vat(?: number| invoice)?|company name|billing name|receipt title|invoice title",
    "BAD": "wrong(?:ly)?|incorrect(?:ly)?|old|outdated|previous|former|incomplete|mistyped|misspell?ed|misspelt|invalid|not right|"
    "out of date|ex's|mistaken|typo|mixed up|messed up|screwed up|wrng",
    "WHAT": "colou?r|size|model|version|item|product|one|variant|quantity|qty|amount|flavou?r|style|type|date|time|slot|time ?slot|day|option|"
    "package|edition|length|width|note|engraving|spec|thing|capacity|voltage|plug|material|pair|listing|ticket|seat|session|message|"
    "initials|brand|set|bundle|plan|pack|storage",
    "SELLER": "seller|shop|store|merchant|vendor|you|you guys|they|customer service|support|your (?:agent|colleague|staff|team|rep|manager)|"
    "the rep|agent|owner|courier|driver|organi[sz]er|supplier|warehouse|company|support agent|retailer|host|venue|someone from your side|"
    "he|she|delivery guy|boss|manager|staff",
    "PERSON": "(?:my )?(?:wife|husband|mom|mum|mother|dad|father|parents|girlfriend|boyfriend|partner|roommate|flatmate|sister|brother|friend|"
    "family|kids?|daughter|son|boss|company|colleague|coworker|grandma|grandmother|grandpa|aunt|uncle|fianc[eé]e?|spouse|cousin|neighbou?r|"
    "doctor|employer|school|other half|better half|landlord|in-laws|hubby|bf|gf)",
    "KID": "(?:my )?(?:kid|kids|son|daughter|child|children|toddler|cat|dog|nephew|niece|baby|grandson|granddaughter|little (?:one|boy|girl)|"
    "\\d{1,6}[- ]year[- ]old|grandkid|boy|girl|little brother|little sister)",
    "COUPON": "coupons?|vouchers?|promo(?: codes?)?|discounts?(?: codes?)?|codes?|red packets?|points|subsidy|rebate|student discount|"
    "member(?:ship)? (?:discount|price)|gift cards?|cash ?back|store credits?|loyalty points|promotion|deal|free shipping|threshold|rewards?|"
    "birthday (?:voucher|coupon)|trade-in (?:credit|bonus)|referral credit|bonus|credits?",
    "PAY": "card|credit card|debit card|paypal|alipay|wechat(?: pay)?|apple pay|google pay|bank|payment|account|visa|mastercard|amex|wallet|"
    "transaction|checkout|klarna",
    "NUM": "\\d{1,6}|two|three|four|five|six|seven|eight|nine|ten|a|an|one|several|a couple of|a few|couple|many|over a|almost a|nearly a",
    "UNIT": "days?|weeks?|months?|hours?|hrs|wks|fortnight",
    "CXL": "cancel(?:l?ed|l?ing|lation)?|cancle|refund(?:ed)?|reorder|re-order|call it off|void|withdraw|return it|drop the order|scrap",
}

REASONS: Final[RuleRows] = (
    (
        "COUPON_NOT_APPLIED",
        2.5,
        """
        [a-z]{3,10}\\d{1,3} (?:bounced|not|didn't|did not|doesn't|wasn't|expired|failed|won't)
    """,
    ),
    (
        "PRICE_DROP",
        2.5,
        """
        \\d{1,3}(?:%| percent| bucks| dollars)? off~4(?:down|at|in|on|elsewhere|next|everywhere)~14
    """,
    ),
    (
        "MERCHANT_ASKED",
        3,
        """
        (?:suggested|recommended|asked|said|told|insisted|proposed)~4(?:that )?i (?:should )?(?:cancel|withdraw|drop|pull)
    """,
    ),
    (
        "QUALITY_CONCERN",
        2.5,
        """
        melt(?:s|ed|ing)?|itch(?:y|es|ing)?|swelled|blisters?
    """,
    ),
    (
        "NOT_AS_DESCRIBED",
        2.5,
        """
        (?:says|said|claims|labelled|labeled|sold as|called)~14,~6(?:feels?|looks?|smells?|it's|its|more) ?~6(?:like|plastic|cheap)?
    """,
    ),
    (
        "ADDRESS_ERROR",
        2.5,
        """
        (?:buzzer|gate|entry|access|door) code
        (?:can't|cannot|couldn't|won't)~6(?:get in|get into|enter|access)~8(?:the )?(?:building|gate|lobby|complex)
    """,
    ),
    (
        "MERCHANT_ASKED",
        2.5,
        """
        (?:asked|told|begged|advised|urged|wants|wanted)~4(?:me|us) to~4(?:back out|withdraw|drop|pull|let it go|forget|give up|undo|take it down|cancel)
    """,
    ),
    (
        "DUPLICATE_ORDER",
        3.5,
        """
        (?:both me and|me and my|my \\w{2,12} and i|both of us|we both|we each)~20(?:bought|ordered|placed|got|checked out)
    """,
    ),
    (
        "WRONG_ITEM_ORDERED",
        2.5,
        """
        (?:ticked|chose|picked|ordered|selected|clicked|got|bought)~14(?:when|but) (?:i|we|he|she|it) (?:take|wear|need|am|'m|usually|should|needed|wanted|takes|wears|needs|meant)
    """,
    ),
    (
        "QUALITY_CONCERN",
        2.5,
        """
        (?:rattles?|rattling|jams?|jammed|squeaks?|squeaky|wobbles?|loose|leaky|sticks|buzzes|buzzing|hums|zipper|mushy|sour|stale|soggy|frays?|frayed|pilling|unstable|lumpy)
    """,
    ),
    (
        "CONTACT_ERROR",
        2.5,
        """
        (?:typed|put|entered|gave|used|wrote|left|listed)~8(?:my |the )?(?:landline|work phone|old phone|work number|old email|home phone|nickname)
    """,
    ),
    (
        "ADDRESS_ERROR",
        3,
        """
        <BAD>~14<ADDR>
        <ADDR>~24(?:<BAD>|wrong|changed|different|doesn't exist|is missing|not updated|moved)
        (?:change|update|correct|fix|edit|amend|switch|swap|redirect|modify)~20<ADDR>
        (?:forgot|didn't|failed|neglected)~14(?:update|change|switch|add|include|enter|put)~20(?:<ADDR>|apartment|flat|unit|building)
        (?:typo|mistake|error)~14<ADDR>
        <ADDR>~14(?:change|update)
        (?:sent|send|ship|shipping|shipped|deliver|delivered|delivering|going|goes|set|headed)~20(?:old|previous|former|wrong|parents'?|ex's|last|different|another)~14(?:place|house|home|address|office|apartment|flat|city|state|country|location|town)
        (?:can't|cannot|don't|doesn't|won't|unable to|not)~4(?:deliver|ship)~14(?:to|here|there|my area)
        (?:undeliverable|out of (?:delivery|service) (?:area|range)|address unknown|return to sender)
        (?:missing|left out|left off|without|no|forgot)~14(?:apartment|apt|flat|unit|house|room|building|street|zip|postcode)~8
    """,
    ),
    (
        "ADDRESS_ERROR",
        2,
        """
        (?:i|we|i've|we've|i'm|we're|i'll|just|have|already|recently)~12(?:moved|moving|relocat(?:ed|ing)|move out|moved out)
        (?:no longer|don't|not)~8(?:live|living|work|working|stay|staying|at)~14(?:there|that|here)?
        (?:left|quit|changed)~8(?:that )?(?:job|company|office)
        (?:i'm|i am|i'll be|we're|we'll be|will be)~8(?:abroad|away|out of town|overseas|travell?ing|on a business trip|out of the country|not home|not at home)
        (?:nobody|no one|no-one)~12(?:there|home|receive|sign|accept)
        (?:old|previous|former|last)~6(?:apartment|place|house|office|dorm|workplace|home|flat|job)
        (?:parents'?|mom's|mum's|ex's|ex-\\w{1,20}|my ex)~10(?:house|place|home|address)?
        (?:lease|tenancy)~14(?:up|over|end|ended|ends)
        (?:dorm|campus|office|building|locker|pickup point)~16(?:closed|closes|close|shut|locked|evacuated|demolished|empty)
        (?:autofill|auto-fill|autofilled|default(?:ed)?|saved)~24(?:old|previous|last|parents|former|work|wrong|another)
        (?:ship|send|deliver|redirect)~6(?:it|this|them|the package)? ?to~4(?:my|a different|another|the) (?:office|work|home|new|friend|neighbo|parents|dorm|house|other)\\w{0,6}
        (?:different|another|new|other)~4(?:address|city|town|state|country|house|building|apartment|place)
        (?:graduat(?:ed|ing)|evicted|sold the house|sold my house)
        (?:courier|driver|postman|mailman|delivery guy)~20(?:can't|couldn't|cannot|won't)~8find
        (?:that|this|it)~4is~4(?:where i used to|my old|my former)
        used to (?:live|work|rent|stay)
        there (?:is|are) two~14(?:streets|roads|towns|villages|buildings)
    """,
    ),
    (
        "ADDRESS_ERROR",
        1,
        """
        <ADDR>
        apartment|dorm|house|moved?
    """,
    ),
    (
        "CONTACT_ERROR",
        3,
        """
        <BAD>~14(?:<NAME>|<INV>)
        (?:<NAME>|<INV>)~20(?:<BAD>|wrong|changed|disconnected|out of service|missing|a digit|mismatch|doesn't match|does not match|not match|belongs to|isn't mine|not mine|switched off|dead|expired|no longer)
        (?:change|update|correct|fix|edit|amend|switch|modify)~16(?:<NAME>|<INV>)
        (?:typo|mistake|error|digit|misspelled)~14(?:<NAME>|<INV>)
        (?:invoice|tax invoice|vat invoice)~24
        (?:need|want|issue|reissue|re-issue|require|get)~12(?:an |a |the )?(?:company |vat |business )?(?:invoice|tax id)
        customs~24(?:id|name|rejected|number|refus|clear|match|mismatch|need|want)
        (?:real-?name|identity|id)~6(?:verification|check|registration)~10(?:fail(?:ed|s)?|wrong|not|doesn't)?
    """,
    ),
    (
        "CONTACT_ERROR",
        2,
        """
        (?:one|a|two) digits?~14(?:off|wrong|missing|short|swapped|too)?
        (?:new|changed|lost|old)~8(?:phone|number|sim|mobile)
        (?:under|in|with|has|put|used|using|to)~14(?:my (?:ex|wife|husband|mom|mum|dad|boss|friend|maiden|nick)(?:'s)?|someone else's|nick-?name|maiden)~6(?:name|number|phone)?
        name~20(?:passport|id|match|licen[cs]e|nickname|maiden)
        (?:accountant|accounting|finance|expense|tax office)~20(?:reject|won't|refus|need|want|company|name)?
        (?:can't|cannot|won't|unable)~8(?:reach me|call me|receive (?:calls|texts|the code))
        (?:calls?|texts?|sms|codes?)~10(?:go|going|goes|went|sent)~14(?:someone|ex|old|another|mom|mum|stranger|husband|wife)
        (?:maiden|nickname|misspelled|misspelt) ?(?:name)?
    """,
    ),
    (
        "CONTACT_ERROR",
        1,
        """
        phone number|invoice|recipient|passport|customs|surname
    """,
    ),
    (
        "CHANGED_MIND",
        3,
        """
        (?:changed|change|changing)~4my mind
        (?:don't|do not|dont|doesn't|won't|no longer|not|didn't)~6(?:really )?(?:want|need|require|like|wanna|use)~10(?:it|this|them|that|these|the|one|any|anymore|any more|now)?
        no longer (?:needed|wanted|necessary|required|interested|going)
        (?:second thoughts|impulse|impulsive|spur of the moment|buyer's remorse|on a whim|regret)~8
        (?:already|now) (?:have|got|own|bought)~8
        (?:got|received|given|was given|gifted)~16(?:as a gift|a gift|one from|for free|for christmas|for my birthday|a present)
        <PERSON>~14(?:gave|got|bought|brought|gifted|handed|lent|surprised|presented|passed)~6(?:me|us|one|it|the same)?
        <PERSON>~14(?:doesn't want|says no|said no|hates|objects?|objected|against|won't let|doesn't like|disapproves?|vetoed|not happy|will kill|would kill|isn't happy|refuses|thinks|says absolutely|said absolutely|told me (?:off|no|we)|said we|says we|says i|said i|is mad|doesn't need|didn't want|already has)
        (?:bought|found|got|purchased|picked)~8(?:one|it|another|a different|something else|the same)~10(?:elsewhere|locally|in (?:a )?store|instead|at the mall|down the street|somewhere else|else)
        (?:plans?|trip|wedding|party|event|vacation|holiday|project|meeting|conference|circumstances|situation)~16(?:changed|cancel|cancell?ed|off|postponed|fell through|fallen through|called off)
        (?:can't|cannot|can not|couldn't)~4(?:really )?(?:afford|justify)
        not interested|lost interest
    """,
    ),
    (
        "CHANGED_MIND",
        2,
        """
        (?:shouldn't|should not|shouldnt)~6(?:spend|have bought|buy|be spending|splurge)
        (?:save|saving|short on|short of|tight on|low on|out of|running out of)~8(?:money|cash|budget)
        (?:money|budget|cash|things|finances)~8(?:is |are |'s )?(?:tight|short)
        (?:lost my job|laid off|got fired|rent is due|bills|unemployed|made redundant|paycheck|payday)
        (?:broke up|divorce|split up|passed away|died|pregnant|hospital|surgery|breakup)
        (?:won|raffle|giveaway|hand-me-down|inherited|borrowed?|borrow)
        (?:fixed|repaired|found)~8(?:my |the )?(?:old|original|lost|broken|one)~8
        (?:old one|current one|the one i have)~10(?:works|fine|fixed|will do|still|good|came back)
        (?:gather|collect|gathering|collecting) dust
        (?:no|don't have|haven't)~6(?:room|space|time|use)~8(?:for)?
        (?:thinking|thought|think|slept|sleep)~8(?:about it|again|twice|on it|it over|it through)
        (?:don't think i|doubt i|won't|not going to|never)~10(?:use|need|wear|be using)
        (?:drunk|late at night|3 ?am|2 ?am|midnight|wine|carried away|sober)
        (?:ended up|decided|going with|gone with|went with|chose|opted)~14(?:not|against|different|another|other|something else|elsewhere|without)
        (?:doesn't|won't|does not|wouldn't)~6(?:fit|match|go with|suit)~10(?:room|kitchen|decor|style|living room|sofa|me|my|space|place|bedroom)
        (?:not going|not travell?ing|staying home|not moving)
        (?:nevermind|never mind|nvm)
        (?:would just|it'll|it will|it would) sit
    """,
    ),
    (
        "CHANGED_MIND",
        1,
        """
        not needed|gift|wife|husband|budget|anymore|any more|want
    """,
    ),
    (
        "NOT_AS_DESCRIBED",
        3,
        """
        (?:not|isn't|doesn't|nothing|looks nothing|aren't|wasn't|don't|didn't|does not|is not)~10(?:as|like|match|matches|matching|resemble)~12(?:described|description|pictured|picture|pictures|pics?|advertised|photos?|listing|listed|shown|image|promised|ordered|website|page|video|the ad|stated|what)
        (?:different|differs|differ|completely different|nothing like)~10(?:from|to|than)~10(?:described|description|pictured|picture|photos?|listing|shown|image|ordered|advertised|website|what)
        (?:misleading|false|fake|deceptive|inaccurate|mislabell?ed|lying)~8(?:description|advertis(?:ing|ement)|listing|photos?|pictures?|ad|specs|info)?
        (?:sent|received|got|delivered|shipped|came with|given|send)~14(?:the |a |me |us ){0,3}(?:wrong|different|incorrect)~4(?:item|colou?r|size|model|product|one|thing|version|part|order|stuff|flavou?r)?
        (?:missing|without|lacks|lacking|no)~8(?:parts?|pieces?|accessor(?:y|ies)|items?|charger|manual|cable|screws|remote|cord|battery|lid|free gift)
        (?:parts?|pieces?|items?|accessor(?:y|ies)|charger|cable|gift|manual)~12(?:missing|not included|wasn't included|weren't included|not in the box)
        (?:promised|advertised|listed|described|sold|claimed|claims|said|says|stated|states|listing)~24(?:but|turns out|actually|instead|yet|only|however|isn't|wasn't|nope)
        bait and switch
    """,
    ),
    (
        "NOT_AS_DESCRIBED",
        2,
        """
        (?:supposed to|was meant to|meant to|should have|should be)~24(?:but|instead|is|isn't|came|only|turned|not)?
        (?:colou?r|size|shape|material|specs?|specifications?|dimensions?)~14(?:different|off|nothing like|not the same|don't match|doesn't match|wrong|smaller|not what)
        (?:said|says|listing|page|title|ad|photo|picture|video|description|seller|website|you|box|they)~20(?:said|says|shows?|showed|claims?|claimed|promised)~40
        (?:it's|its|it is|turned out|turns out|is actually|was actually|just|only)~8(?:plastic|polyester|refurbished|veneer|particle ?board|fake leather|faux|plated|mdf|plywood|secondhand|second-hand|smaller|used)
        (?:not|isn't|no)~4(?:real|solid|genuine)~4(?:wood|leather|silver|gold|cotton|oak|wool|silk|marble)
        (?:free gift|free installation|warranty|assembly|installation)~24(?:not|no|extra|charge|isn't|gone|removed|costs?|refus|suddenly|pay)
        (?:half|smaller than|way smaller|much smaller|tiny|much bigger)~10(?:the size|picture|photo|advertised|shown|pieces)
        (?:photoshopped|photoshop|old model|older model|last year's|previous generation|older version)
        (?:went back on|backtracked|broke (?:your|their) promise|changed the terms|changed (?:your|their) story)
        empty (?:box|package|parcel)
    """,
    ),
    (
        "NOT_AS_DESCRIBED",
        1,
        """
        description|described|pictured?|photos?|advertised|listing|promised|specs
    """,
    ),
    (
        "QUALITY_CONCERN",
        3,
        """
        (?:bad|poor|terrible|low|awful|horrible|cheap|shoddy|inferior|crap|worst|questionable|dubious|disappointing)~8(?:quality|build|workmanship|material)
        quality~14(?:bad|poor|terrible|issues?|problems?|concerns?|low|awful|horrible|sucks|not good|isn't good|questionable|is off)
        (?:broken?|broke|defective|damaged|faulty|cracked|scratched|leaking|leaks|leaked|torn|ripped|shattered|mou?ldy|rotten|expired|stained|dented|rusty|chipped|malfunction\\w{0,5}|dead on arrival|doa|stopped working|doesn't work|not working|does not work|won't turn on|won't start|won't charge|fell apart|falls apart|falling apart|overheats?|overheating|smashed|spoiled|bent|wilted|crushed|peeling|flickers?)
        (?:counterfeit|knock-?off|fake|replica|not genuine|not authentic|inauthentic|isn't genuine|isn't authentic|bootleg|not original|isn't real|imitation|rip-?off copy)
        (?:unsafe|dangerous|hazard(?:ous)?|safety|toxic|formaldehyde|recall(?:ed)?|catch(?:es)? fire|caught fire|exploded?|explodes|allerg\\w{1,6}|rash|carcinogen\\w{0,3}|smoke|smoking|sparks?|electric shock|burn(?:ed|t|s|ing)?|swollen|snap(?:s|ped|ping)?)
        (?:bad|negative|terrible|awful|horrible|poor|1[- ]star|one[- ]star|worrying|scary|mixed)~4reviews?
        reviews?~24(?:bad|negative|terrible|awful|horrible|broke|breaks|fake|scared|poor|worried|say|said|saying|complain|1 star|one star)
        (?:expir(?:y|ation|es|ed|ing)|best before|use by|sell-by|shelf life)~14
    """,
    ),
    (
        "QUALITY_CONCERN",
        2,
        """
        (?:breaks?|break|broke|dies|died|die|fails?|failed|cracks?|fade[sd]?|shrinks?|shrunk)~8(?:after|in|within|on)~10(?:<UNIT>|use|uses|wash|month|once|day)
        (?:posts?|threads?|videos?|comments?|people|reviewers?|forum|reddit|youtube|news|article|friend|everyone|somebody)~20(?:say|says|saying|said|warn\\w{0,4}|complain\\w{0,4}|report\\w{0,4}|problems?|issues?|break|breaks|broke|fake|about)
        (?:worried|afraid|concerned|scared|fear|doubt|suspect|not sure|suspicious|sceptical|skeptical)~20(?:quality|fake|real|genuine|authentic|safe|legit|break|original|last|durab|authenticity|material)
        (?:smell|smells|smelled|stinks?|odou?r|reeks?)~14
        (?:is it|if it's|whether it's|are these|if these are|don't think it's|doesn't look|doesn't seem)~8(?:real|fake|authentic|legit|genuine|original|safe)
        (?:flimsy|junk|trash|garbage|crap|unreliable|sketchy|dodgy|tacky|stitching|wobbly)
        (?:serial number|qr code|barcode|hologram|authentication|verification code)~20(?:not|invalid|doesn't|fail|fake|no)
        (?:don't|do not|can't|cannot)~4trust~12
        (?:too cheap|too good to be true|price)~8(?:to be real|to be genuine|suspicious)?
        (?:batch|battery|batteries|cells)~14(?:problem|issue|swell\\w{0,5}|swollen|bad|recall|defect)
        (?:opened|used|resealed|no seal|seal broken|been opened)~8(?:before|already|box|package|by someone|unit)
    """,
    ),
    (
        "QUALITY_CONCERN",
        1,
        """
        quality|reviews?|authentic|genuine|safe|broke|trust|legit
    """,
    ),
    (
        "SHIPPING_TOO_SLOW",
        3,
        """
        (?:hasn't|has not|haven't|not|never|didn't|hasnt|still not|yet to|isn't|wasn't|still hasn't)~10(?:shipped|ship|been shipped|dispatched|arrived|arrive|moved|delivered|updated|left|been sent|sent out|come|been dispatched|show up|shown up|moving|here yet|delivered yet|been delivered)(?! to my)
        (?:too slow|too long|so slow|so long|taking forever|takes forever|took forever|taking ages|takes too|taking so|taking too|way too (?:long|slow)|super slow|very slow|ridiculously (?:slow|long)|forever)
        (?:slow|late|delayed|delay|delays|long)~10(?:shipping|delivery|dispatch|shipment|wait|arrival|processing)
        (?:shipping|delivery|shipment|package|parcel|order|dispatch|tracking|installation|it's|it is|item)~14(?:delayed|late|slow|stuck|lost|overdue|postponed|hasn't moved|no movement|not moving|pushed back|behind schedule|rescheduled|no update|frozen|missing in transit|hasn't updated|not updated)
        (?:waiting|waited|wait|been)~14<NUM> (?:\\w{1,10} )?<UNIT>
        <NUM> (?:\\w{1,10} )?<UNIT>~20(?:no|not|nothing|still|hasn't|late|ago|already|now|without|overdue)
        (?:won't|will not|not going to|can't|cannot|wouldn't|not)~10(?:arrive|be here|make it|get here|come|be delivered|get it|reach me)~10(?:in time|on time|before|by|until|till)?
        too late(?: for)?
        (?:missed the|miss the|after the)~10(?:birthday|party|wedding|christmas|event|deadline|date|trip|holiday)
        (?:tired|sick|fed up)~8(?:of )?waiting
        (?:can't|cannot|not|don't want to|won't|no longer)~6wait~8
        (?:estimated|expected|promised|scheduled|supposed)~14(?:delivery|arrive|ship|arrival|to arrive|to ship|date)~24
        (?:marked|shows?|says?|tracking says|status)~10(?:as )?delivered~20(?:but|never|not|didn't|haven't|no)
    """,
    ),
    (
        "SHIPPING_TOO_SLOW",
        2,
        """
        (?:stuck|sitting|stalled|parked|sat|sits|lost|held|bouncing)~14(?:customs|warehouse|transit|facility|depot|hub|same|sorting|port|sort|in|somewhere)
        (?:need|needed|wanted)~10(?:it |them |this )?(?:by|before|for)~14(?:monday|tuesday|wednesday|thursday|friday|saturday|sunday|tomorrow|tonight|weekend|party|wedding|birthday|christmas|trip|event|school|exam|today|the \\d{1,6})
        (?:birthday|party|wedding|christmas|event|trip|holiday|anniversary|graduation|recital|valentine's|halloween)~10(?:is over|was|passed|has passed|came and went|been and gone|already|gone|will be over)
        (?:any|no)~4(?:update|news|movement|tracking|progress)
        (?:label created|preparing|processing|pending|pre-?transit|awaiting)~14(?:for|since|still|<UNIT>)?
        circling|by the time (?:this|it|they|that)~8(?:gets?|arrives?|comes?|ships?)~4(?:here)?
        <NUM> <UNIT> (?:for|to ship|to deliver) (?:a|an|one|this)
        (?:keeps?|kept|keep)~8(?:pushing|delaying|postponing|slipping|being (?:delayed|pushed)|getting (?:delayed|pushed|postponed)|rescheduling|saying)
        (?:snail|turtle|tortoise|carrier pigeon|pony express|donkey|by foot|on foot|rowing boat|rowboat|horseback|glacier|glacial|swim|swimming|walking)
        (?:grandchildren|grandkids|baby|kid|kids|son|daughter)~10(?:college|graduat\\w{1,5}|retired?|walking|married|grown)
        (?:grandchildren|grandkids|grow old|retire|next century|next year|hell freezes|die of old age|fossil|beard|grey hair|gray hair|great-grandchildren)
        (?:every(?:one|body) else|my friend|my neighbou?r)~14(?:got|received) (?:theirs|hers|his|it)
        (?:technician|installer|fitter)~20(?:no show|never|didn't|reschedul|again|postpon|late)
    """,
    ),
    (
        "SHIPPING_TOO_SLOW",
        1,
        """
        shipping|delivery|shipped|tracking|waiting|late|slow|delay|dispatch|parcel|package
    """,
    ),
    (
        "WRONG_ITEM_ORDERED",
        3,
        """
        (?:ordered|order|bought|chose|choose|picked|pick|selected|select|clicked|purchased|got|booked|added|select)~12(?:wrong|incorrect|different from what i|too many|too few|too much|extra)~6<WHAT>
        wrong~4(?:<WHAT>)~12(?:ordered|selected|chosen|picked|by mistake|clicked|added)?
        (?:meant|wanted|intended|trying|supposed|thought i)~6(?:to )?(?:order|buy|get|select|pick|choose|ordered|the|a|click|one|two|put|tap)~24
        (?:change|swap|exchange|switch)~8(?:the |my |to )?(?:colou?r|size|model|version|quantity|variant|flavou?r|date|time|slot|time ?slot|style|different (?:size|colou?r|model)|medium|large|small|black|white|red|blue|green|xl|l|m|s)
        <KID>~14(?:ordered|bought|clicked|pressed|tapped|placed|got hold|playing|was playing|hit|stepped|walked|sat|grabbed|got my|used my|purchased|got into)
        (?:too big|too small|wrong size|too large|won't fit|doesn't fit|doesn't fit my|not compatible|incompatible|isn't compatible|doesn't work with my)
        (?:misread|misunderstood|misjudged|mixed up|confused|overlooked|mis-?ordered|mismeasured|measured wrong|read it wrong|hit the wrong)
        (?:quantity|qty)~14(?:wrong|should|too|instead|\\d{1,6}|twice|double)
        (?:typo|mistake|error|misspelled)~14(?:engraving|note|gift message|initials|message|card|quantity|order)
    """,
    ),
    (
        "WRONG_ITEM_ORDERED",
        2.5,
        """
        (?:accident(?:al(?:ly)?|ly)?|by mistake|by accident|mistakenly|unintentional(?:ly)?|inadvertently|unintended|in error|my mistake|misclick(?:ed)?|mis-click|fat[- ]finger(?:ed)?|butt[- ]?dial|pocket[- ]?order|didn't mean to|did not mean to|wasn't meaning to|never meant to|oops)~10(?:order|click|bought|buy|purchase|tapped|press|place)?
        (?:ordered|bought|picked|chose|selected|clicked|booked)~8(?:wrong|incorrectly)
    """,
    ),
    (
        "WRONG_ITEM_ORDERED",
        2,
        """
        (?:hit|pressed|tapped|clicked|clicking)~10(?:buy|order|button|confirm|pay|place order|the wrong|purchase|checkout)
        (?:i|we) (?:only )?(?:need|needed|want|wanted)~14(?:not|instead|rather than|but)~24
        (?:thought|assumed|didn't (?:realise|realize|notice|see|read|know))~16(?:was|were|it|they|that|had|the)
        (?:left|right|men's|women's|kids'?|adult|us|eu|uk)~4(?:size|version|plug|one|hand|handed)
        (?:added|add|extra)~4(?:an? |one )?(?:extra )?(?:zero|0|digit)
        (?:phone|app|screen|finger|thumb)~10(?:in my pocket|slipped|glitched|froze|unlocked|did it)
        (?:one[- ]click|1-click|face id|touch id)~14
        (?:was just|just|only) (?:browsing|looking|comparing|checking|window shopping)
    """,
    ),
    (
        "WRONG_ITEM_ORDERED",
        1,
        """
        wrong|mistake|size|colou?r|quantity|swap|model
    """,
    ),
    (
        "PRICE_DROP",
        3.5,
        """
        (?:found|saw|seen|got|get|bought|available|it's|is)~20(?:cheaper|for less|at a lower price|lower price|for half)~16(?:elsewhere|online|locally|in store|somewhere else|else)?
    """,
    ),
    (
        "PRICE_DROP",
        3,
        """
        (?:cheaper|lower price|better price|better deal|less expensive|best price|half the price|half price|half off|half as much)
        price~14(?:drop(?:ped|s)?|went down|lower(?:ed)?|fell|reduced|decreased|cut|difference|match(?:ing|ed)?|adjust(?:ment|ed)?|is high|too high|slashed|gone down|came down|down|changed|protection)
        (?:on sale|went on sale|goes on sale|sale price|now costs?|costs less|now only|clearance|marked down|flash sale|black friday|prime day|discounted now)
        (?:too|so|very|pretty|quite|really|bit|way too|kinda) (?:expensive|pricey|costly|dear)
        (?:overpriced|overpaid|overpaying|overcharging|not worth)~8
        (?:shipping|postage|delivery)~6(?:cost|costs|fee|fees|charge|charges|price|is)~12(?:too|high|more|expensive|ridiculous|absurd|\\d|much|insane|crazy|than)
        \\d{1,6}~10(?:to ship|for shipping|for postage|for delivery|postage)
        (?:expensive|high|ridiculous|insane|crazy)~4(?:shipping|postage|delivery fee)
        (?:price match|price adjustment|price protection|refund the difference|difference refunded|pay the difference)
        (?:costs?|paying|paid|pay|charged|charging|asking|selling|sells?|sold)~16(?:more than|less|\\$|£|€|half)
    """,
    ),
    (
        "PRICE_DROP",
        2,
        """
        [$£€]?\\d{1,6}(?:\\.\\d{1,6})?(?:%| percent| bucks| dollars| pounds| euros)~6(?:cheaper|less|lower|off|more|difference)
        (?:found|saw|see|seen|spotted|noticed)~20(?:for|at)~6(?:[$£€]?\\d{1,6}|half|less|lower)
        (?:same (?:thing|item|product|one|model)|identical one)~24(?:for|at|less|\\$|£|€|cheaper|costs?|\\d{1,6})
        (?:day|week|hour|hours|days|minutes) (?:after|later|before)~24(?:sale|\\$|price|less|cheaper|off|dropped|half)
        (?:save|saves|saving) (?:me )?[$£€]?\\d{1,6}
        (?:amazon|ebay|walmart|costco|target|another (?:site|store|shop|seller)|other (?:site|store|shop|seller)s?|down the road|corner shop|supermarket)~20(?:for|at|has|sells?|had|less|\\$|only)
        (?:rip-?off|daylight robbery|arm and a leg|gouging|ripped off)
        (?:new customers?|my friend|my sister|my coworker|colleague|everyone else|others)~14(?:pays?|paid|got|gets|sees?)~14(?:less|\\$|£|€|half|\\d{1,6}|lower)
    """,
    ),
    (
        "PRICE_DROP",
        1,
        """
        price|expensive|sale|cost|shipping fee|postage|pricey|bargain
    """,
    ),
    (
        "OUT_OF_STOCK",
        3,
        """
        (?:out of stock|sold out|no stock|not in stock|isn't in stock|aren't in stock|back-?order(?:ed)?|on back order|unavailable|no longer available|not available|isn't available|discontinued|no inventory|out-of-stock|stock ?out|ran out|run out|running out|insufficient stock|oversold|none left|nothing left|no more left|out of production|no longer (?:made|produced|manufactured|sold|carry)|don't have (?:it|any|them|enough)|doesn't have (?:it|any|enough))
        (?:restock|re-stock|replenish|next batch|next shipment|next container|pre-?order)~14
        (?:only|just)~4(?:part|some|one|two|half|\\d{1,6})~10(?:in stock|available|left)
        stock~14(?:out|none|zero|empty|gone|isn't|not|insufficient|short|error|issue)
    """,
    ),
    (
        "OUT_OF_STOCK",
        2,
        """
        (?:waiting|wait)~14(?:factory|supplier|container|restock|stock|production|manufacturer|new batch)
        (?:factory|supplier|manufacturer)~24(?:stopped|closed|can't|no longer|shortage|not|hasn't|isn't)
        (?:substitute|substitution|replacement|alternative colou?r|offered me (?:another|a different))~8
        (?:last one|last pair|last unit|last piece|display model)~20
        (?:can't|cannot|couldn't|could not|unable to)~6(?:find|source|supply|fulfil|fulfill|get hold of|get)~14(?:it|one|any|order|item|stock|them)
        (?:production|supply|chip)~6(?:shortage|delay|stopped|halted|issues?)
        (?:release|launch)~10(?:postponed|pushed|delayed)
        (?:seller|shop|store|they|you|warehouse)~14(?:don't|doesn't|didn't|no longer) (?:actually )?(?:have|carry|stock|make)
    """,
    ),
    (
        "OUT_OF_STOCK",
        1,
        """
        stock|inventory|available|availability|left
    """,
    ),
    (
        "DUPLICATE_ORDER",
        3,
        """
        (?:duplicate[ds]?|duplicated?|double)~4(?:order(?:s|ed)?|purchase|booking|booked|bought)?
        (?:ordered|bought|placed|purchased|submitted|booked|order|checked out|order went through|placed it|went through|placed the (?:same )?order|ordered it|bought it|ordered this)~16(?:twice|two times|2 times|2x|three times|again by mistake)
        (?:two|2|three|3|both|second|extra)~6(?:identical |same |separate |of the same )?(?:orders|order)
        (?:already|previously|also)~6(?:ordered|bought|placed|purchased)~12(?:one|it|this|same|yesterday|earlier|an order|another)
        (?:keep|need|want|only need|only want)~6(?:only |just )?(?:one|1)(?: of them| order| of the two| of these|, not two)?
        <PERSON>~10(?:also|already|had|and i both|both|has)~8(?:ordered|bought it too|bought (?:the )?same|placed)
    """,
    ),
    (
        "DUPLICATE_ORDER",
        2,
        """
        (?:we|both of us|my wife and i|my husband and i|we both|each of us)~12(?:both|each|ordered|bought|separately)~12(?:one|it|same|ordered|bought)?
        (?:thought|didn't think|assumed|looked like)~14(?:the first|it|first one|order|payment)~14(?:go through|gone through|failed|hadn't|didn't|went)
        (?:clicked|tapped|pressed|hit|refreshed|submitted)~14(?:twice|again|two times|multiple times|several times)
        (?:page|app|site|browser|internet|wifi)~10(?:froze|lagged|crashed|hung|timed out|reloaded|refreshed|was slow)~16
        (?:forgot|forgotten|didn't remember|didn't realise|didn't realize)~8(?:i'd |i had |i |that i )?(?:already|had|ordered|bought)
        (?:two|2)~6(?:confirmations?|confirmation emails|emails|of them|of these|on the way|coming)
    """,
    ),
    (
        "DUPLICATE_ORDER",
        1,
        """
        twice|duplicate|two orders|both orders
    """,
    ),
    (
        "COUPON_NOT_APPLIED",
        3,
        """
        <COUPON>~20(?:wasn't|was not|didn't|did not|not|isn't|never|failed|won't|doesn't|disappeared|vanished|expired|rejected|invalid|missing|gone|not working|couldn't|ignored|forgotten|unused|did nothing|no effect|nothing happened|does nothing|bounced)
        (?:forgot|forget|didn't|did not|couldn't|could not|can't|unable|failed|missed|without|never|forgotten|not)~14(?:use|apply|enter|add|redeem|claim|get|using|applying|got|given|receive|deducted|put in|select)~14<COUPON>
        (?:use|apply|add|redeem)~12<COUPON>
    """,
    ),
    (
        "COUPON_NOT_APPLIED",
        2,
        """
        (?:have|had|got|earned|with)~10<COUPON>~30(?:checkout|but|apply|applied|show|use|didn't|wasn't|order|total)
        (?:charged|paid|paying|pay)~6(?:me )?(?:the )?full price
        (?:full price)~14
        (?:should have|was supposed to|supposed to|entitled to|eligible for|qualif(?:y|ied) for)~14(?:get |got |been |receive |be )?~10(?:off|discount|free|less|<COUPON>|\\d{1,6}%)
        (?:member|student|loyalty|birthday|new customer|first order|welcome|veteran|senior|military|employee|prime|premium)~10(?:discount|price|offer|deal|code|credit|perk|bonus|rate)
        (?:spend|spent|minimum|short of)~14(?:threshold|\\d{1,6})~10(?:off|free|discount|deal)?
        (?:buy one get one|bogo|buy 2 get|second half price)~14
    """,
    ),
    (
        "COUPON_NOT_APPLIED",
        1,
        """
        <COUPON>
    """,
    ),
    (
        "PAYMENT_ISSUE",
        3,
        """
        (?:charged|billed|debited|paid|deducted|charge|taken|took|payment)~14(?:twice|two times|double|2x|three times|2 times|again)
        (?:double|duplicate|two|extra|second|multiple|unauthori[sz]ed|unknown|fraudulent|unrecogni[sz]ed|strange|mystery|2)~4(?:charges?|payments?|debits?|transactions?|deductions?|charged|billed|withdrawals?)
        (?:<PAY>)~24(?:declined|rejected|failed|fails|failing|not going through|won't go through|didn't go through|doesn't work|not working|error|blocked|frozen|limit|expired|stuck|not accepted|doesn't go|keeps|maxed|spins|spinning|hangs|just loads|times out|refused|wouldn't)
        (?:can't|cannot|can not|unable to|couldn't|not able to|won't let me|wouldn't let me|not let me)~4(?:pay|complete (?:the )?payment|check ?out|finish paying|process the payment|use my card)
        (?:wrong|different|another|change|switch|change the|other|incorrect)~12(?:payment method|card|account|payment|credit card|paypal)
        (?:used|paid with|charged|paid from|selected|picked)~12(?:wrong|my (?:mom|mum|dad|wife|husband|company|boss|work|business)(?:'s)?)~8(?:card|account|payment)
        (?:insufficient funds|not enough (?:money|funds|balance)|over (?:my|the) limit|spending limit|card limit|daily limit|credit limit|otp|verification code|3d secure|two-factor)~14
        (?:without my (?:permission|consent|authori[sz]ation|knowledge))
        (?:didn't|did not|never|i did not)~4(?:authori[sz]e|approve)~14
    """,
    ),
    (
        "PAYMENT_ISSUE",
        2,
        """
        (?:payment|checkout|pay)~14(?:page|screen|button)?~10(?:crash(?:ed|es)?|froze|freezes|frozen|spinning|blank|stuck|hangs?|loads?|loading|error|timeout|timed out|loop)
        (?:money|amount|funds)~10(?:taken|deducted|gone|left my|was withdrawn|withdrawn)~30
        (?:still (?:says|shows)|shows|says|status)~6(?:unpaid|payment pending|pending payment|awaiting payment|not paid)
        (?:installments?|instalments?|pay later|financing)~14(?:not|didn't|couldn't|option|declined|unavailable|wanted)?
        (?:face id|fingerprint|password|pin|sms code|code)~14(?:fail\\w{0,3}|not|won't|never|doesn't|wrong|locked)
        (?:bank)~20(?:declin\\w{0,4}|block\\w{0,4}|reject\\w{0,4}|flag\\w{0,4}|froze|won't|refus\\w{0,4}|stopped)
        one order~24(?:two|twice|2)
        (?:statement|bank app)~20(?:two|twice|2|double)
    """,
    ),
    (
        "PAYMENT_ISSUE",
        1,
        """
        payment|card|charged|paypal|checkout|bank
    """,
    ),
    (
        "MERCHANT_ASKED",
        3,
        """
        <SELLER>~14(?:told|asked|asks|wants|wanted|requested|requests|said|says|instructed|advised|suggested|begged|insisted|recommended|urged|keeps asking|is asking|messaged|called|emailed|texted)~24(?:to )?<CXL>
        (?:seller|merchant|shop|store|vendor|courier)(?:'s)?~6(?:request|requested|instruction|suggestion|idea|advice)
        (?:told|asked|instructed|advised)~4(?:me )?(?:by|to cancel)~20
        (?:agreed|agreement|settled|mutual|arranged|discussed|worked it out)~14(?:with )?(?:the )?(?:seller|merchant|shop|store|vendor|both|cancel|them|owner)
        (?:mutual(?:ly)?)~6(?:agree\\w{0,4}|cancel|decision|consent)
        (?:seller|shop|store|merchant|vendor|they|you)~8(?:refuses?|refused|won't|doesn't want|will not|declined)~8(?:ship|sell|send|fulfill|honou?r|to ship|to sell)
        (?:pricing error|price error|listed (?:at )?the wrong price|wrong price listed)
    """,
    ),
    (
        "MERCHANT_ASKED",
        2,
        """
        <SELLER>~10(?:can't|cannot|couldn't|won't|unable to|not able to|isn't able to)~8(?:do|make|take|ship|deliver|fulfil|fulfill|complete|handle|accept|come|send)~10(?:it|this|the|my|order|job)?
        (?:outside (?:the )?(?:app|platform|site)|off[- ]platform|pay (?:him|her|them) directly|whatsapp|directly instead|another link|new link|different link|wire)~14
        (?:someone|a person|a guy|a lady|manager|supervisor|rep|agent)~10(?:called|phoned|rang|messaged|texted|emailed)~20
        (?:organi[sz]er|venue|event|course|class|workshop)~10(?:cancell?ed|called off|closed|postponed)
        (?:shop|store|restaurant|business)~8(?:closing|closed|shutting|is closed|on holiday|going out of business)
        (?:seller|shop|store|vendor|merchant|courier|they)~14(?:agreed|ok with|okay with|fine with|said (?:ok|okay|it's fine|yes|sure))
        (?:not enough|too few)~6(?:participants|people|sign-?ups|bookings)
    """,
    ),
    (
        "MERCHANT_ASKED",
        1,
        """
        seller (?:said|says|told|asked|wants)|agreed|they told me|store told
    """,
    ),
    (
        "OTHER",
        3,
        """
        (?:rude|unhelpful|terrible|awful|horrible|worst|bad|poor|disgusting|appalling)~4(?:customer )?(?:service|staff|support|attitude|agent|communication)
        (?:customer service|support|staff|agent|seller|driver|attitude)~14(?:rude|unhelpful|ignor\\w{0,4}|never (?:replies|responds|answers)|doesn't (?:reply|respond|answer)|not (?:replying|responding|answering)|hung up|insulted|yelled|no response)
        (?:no one|nobody)~6(?:replies|responds|answers|helps|responded|replied|answered)
        (?:account|profile)~14(?:hacked|stolen|compromised|accessed|broken into|hijacked|taken over)
        (?:hacked|scam(?:med|mer|mers)?|fraud(?:ster)?|phishing|impersonat\\w{1,5}|con artist|identity theft)
    """,
    ),
)

INTENTS: Final[RuleRows] = (
    (
        "CANCEL",
        3,
        """
        (?:cancel|cancle|cancell|cancelling|canceling|cancellation)(?! the cancel| fee| policy| that cancel| my cancel| request)
        (?:want|need|like|get|give|issue|request|demand|please|process|just|immediate|full|asking for|expect|me)~12(?:refund|money back)
        refund (?:me|it|this|my|please|now|the|everything|order)
        money back
        (?:don't|do not|please don't|stop|hold)~4(?:ship|send|dispatch|deliver)~10
        (?:stop|intercept|halt|block|recall)~10(?:order|shipment|package|delivery|parcel|it)
        (?:call|take) (?:it|this|the order) (?:off|back)
        (?:void|scrap|remove|delete|drop|kill|undo|withdraw|pull)~6(?:order|purchase|it|this)
        (?:don't|do not|no longer|dont) (?:want|need)~10
        forget (?:it|the order|about (?:it|this|the order))
        (?:can't|cannot|won't|not|no longer|tired of|done|done with) wait(?:ing)?
        (?:buy|order|go|get it|purchase|reorder|re-order|shop) (?:it )?(?:elsewhere|somewhere else|again|from another)
    """,
    ),
    (
        "CONDITIONAL",
        4,
        """
        (?:or|otherwise|or else|if not|if you don't|if you can't|if it doesn't|if it isn't|if it's not|if that's not possible|unless)~40(?:cancel(?:l?ing)?|refund|want my money back)
        (?:before i|i'd rather not|don't make me|i might|i may|rather than)~6(?:cancel|refund|have to cancel)
    """,
    ),
    (
        "MODIFY_ORDER",
        3,
        """
        (?:change|update|swap|switch|exchange|correct|fix|edit|amend|modify|redirect|reroute|replace)~14(?:address|name|number|size|colou?r|phone|quantity|slot|time|date|model|version|invoice|payment|card|method|item|recipient|note|a medium|a large|a small)
        (?:can|could|would|may|possible|possible to|please|is it|like|want|need|pls|plz)~24(?:change|update|swap|switch|exchange|correct|fix|edit|amend|modify|apply|add|adjust|refund the difference|price match|combine|reissue|re-issue|redirect|ship it to|send it to|deliver it to|reschedule|postpone|hold)(?! my mind)
        (?:keep|keeping)~4(?:the |my )?order
        (?:don't|do not|no need to|not|without)~4cancel(?:l?ing)?~10
        (?:ship|send|deliver)~6(?:it |this |them |the package )?to~4(?:my |a |the |another|different|new)
        (?:refund|give|pay|return)~6(?:me )?(?:the )?(?:price )?difference
        (?:price match|price adjustment|price protection)
        (?:make it|make that)~4(?:a |an |the )?(?:size|medium|large|small|red|blue|black|white|xl|two|three|one|\\d)
        please (?:add|apply|use)~8(?:a |my |the )?(?:coupon|voucher|code|discount|note|gift message|points)
        (?:instead)(?: please| pls)?$
    """,
    ),
    (
        "WHERE_IS_MY_ORDER",
        3,
        """
        where(?:'s| is| are| the (?:hell|heck|f\\w{1,6}) is)~6(?:my|the|it|our|order|package|parcel|stuff)
        when~6(?:will|is|are|does|do|can|would|should|'s)~16(?:ship|arrive|come|get|be|delivered|dispatched|expect|go out|show up|send|leave|reach)
        (?:any|an)~4(?:update|news|eta|progress)
        (?:track|locate|status|whereabouts|eta|tracking)~10(?:of |my |the |on |number|order|package)?
        (?:has|did|have)~8(?:it|my order|my package|you|this|they)~6(?:shipped|been shipped|ship|been sent|arrive|arrived|been dispatched|left)(?: yet)?
        (?:how much longer|how many (?:more )?days|how long~8(?:for|to)? ?(?:ship|delivery|deliver|arrive|it to))~20
        (?:why|how come)~10(?:is|isn't|hasn't|has|haven't|not|it|my|still)~14(?:taking|ship|shipped|arrived|moved|here|late|long|stuck|delivered|sitting)
        (?:still|has|hasn't|have|haven't|not|never)~8(?:not |n't )?(?:arrived|received|moved|been delivered|shown up|come|updated|gotten)
        (?:marked|shows?|says?|tracking says|status)~10(?:as )?delivered~20(?:but|never|not|didn't|haven't|no)
        (?:hurry|speed|expedite|rush)~8(?:it|up|delivery|shipping|order|my)
        (?:lost|stuck)~6(?:in|at|package|parcel)
        what(?:'s| is)~6(?:going on|happening|the holdup|the hold up|taking|the status|the delay)
    """,
    ),
    (
        "WITHDRAW_CANCEL",
        3,
        """
        (?:don't|do not|please don't|dont|didn't want to|no need to|not)~4cancel(?:l?ed|l?ing)?~4(?:it|my order|the order|after all|anymore|please|this)?
        (?:undo|reverse|withdraw|revoke|take back|stop|ignore|disregard|cancel|retract|scrap|forget|void|drop|rescind)~8(?:the |my |that |this )?(?:last |earlier |previous )?(?:cancellation|cancel|cancelation|refund request|cancel request|refund|return request)
        (?:reinstate|restore|reactivate|reopen|un-?cancel|resume|revive)~14
        (?:keep|want)~6(?:the |my |it |this )?(?:order )?(?:after all)
        (?:still|do|actually|after all i|actually do) (?:still )?want (?:it|the order|this|my order|them|to keep)
        scratch that
        (?:send|ship|deliver) (?:it|them|the order) (?:after all|anyway|anyways)
        (?:go ahead|proceed|carry on|continue|send it anyway|ship it anyway)~14
        (?:why|who|how come)~12(?:was|did|has|is|have|is my|cancel)~14(?:cancell?ed|cancel)
        (?:was|got|been|been automatically|were) (?:wrongly |automatically |randomly |mistakenly |suddenly )?cancell?ed~14(?:without|by you|against|automatically|by the seller|and i|for no reason|i didn't|but)?
        (?:you|seller|they|system|shop|someone) (?:just )?cancell?ed (?:my|the|it|on)
        (?:never|didn't|did not|wasn't)~8(?:ask(?:ed)?|request(?:ed)?|want(?:ed)?|agree|me who)~10(?:cancel|cancellation|it cancell?ed|refund)
        (?:cancell?ed|cancel|cancellation)~10(?:by mistake|by accident|accident|accidentally|mistake|in error)
        (?:accidentally|mistakenly) (?:hit |pressed |clicked |tapped )?cancel(?:l?ed)?
        changed my mind~8(?:keep|about cancel\\w{0,6}|again|and want it|i'll keep|i want to keep|about the cancel\\w{0,6})
        (?:i'll|i will|we'll|let me|want to|would like to|i'd like to) keep (?:it|them|the order|my order|this)
    """,
    ),
    (
        "RECEIVED",
        3,
        """
        (?:received|recieved|got|arrived|came|delivered)~16(?:today|yesterday|broken|damaged|wrong|but|and|already|this morning|it's|is|with|opened|in pieces|last week|different|cracked|missing|dead|smashed|defective|faulty)
        (?:send|sending|ship|shipping)(?: it| this| them| the item) back
        exchange(?: it| this| them)? for
        (?:return)(?:ing|s)?
        (?:opened|unboxed|unpacked|unboxing|tried it on|tried them on|tried it|used it|wore it|worn|plugged it|turned it on|assembled|installed it)
        (?:after|since) (?:one|a|two|\\d{1,6}|first|a few) (?:uses?|wash|wears?|days of use)
        (?:the (?:one|item|product|package) (?:i|we) (?:got|received))
        (?:sent|shipped|gave) (?:me|us) (?:the |a |an )?(?:wrong|different|broken|used|empty|damaged|defective|fake)
        (?:broke|died|stopped working|fell apart|ripped|shrunk|shrank|cracked)~8(?:after|in|within|on|the (?:first|second))
        (?:arrived|came|showed up) (?:broken|damaged|late|wrong|with|in|cracked|dented|empty|smashed|dead|mouldy|moldy|rotten|wilted|expired)
        in the box
        the box (?:had|has|contained|only|was|came)
        after the first (?:use|wash|wear|week|time)
    """,
    ),
    (
        "NOT_RECEIPT",
        4,
        """
        (?:not|never|haven't|hasn't|didn't|yet to|have not|has not|before|if|when|until|hope to|will|can't|cannot|won't)~12(?:received?|recieved?|got|get|arrived?|come|delivered)
        (?:got|received|came)~10(?:an? )?(?:email|text|message|notification|call|confirmation|sms|gift|refund|offer|job|one|emails)
        (?:got|received|came)~14(?:as a gift|for my birthday|for christmas|from my)
        (?:return|returns|returning)~4(?:policy|my (?:call|money)|to sender|to work|home|the money)
        (?:haven't|not|never|unopened)~6opened
    """,
    ),
    (
        "NOT_RECEIVED",
        4,
        """
        (?:marked|shows?|says?|showing|saying|listed|status|tracking|signed|scanned|reported|confirmed|claims?|claiming)~24(?:delivered|signed for|received|signed|picked up)~24,?~24(?:never|not|nothing|haven't|hasn't|didn't|no package|no parcel|isn't here|nowhere|no sign|wasn't|who|nobody|no one)
        (?:never|didn't|haven't|not|nothing)~14(?:received|got|get|arrived|gotten|seen)~16,?~24(?:marked|shows?|says?|tracking|signed|delivered)
        (?:someone|somebody) else (?:signed|took|received|picked)|stolen (?:package|parcel)|(?:package|parcel)~8stolen|porch pirate
    """,
    ),
    (
        "OTHER",
        3,
        """
        (?:when|where|how long)~10(?:will|is|do|does|are|until|till|before|for)~16(?:my |the |i |get ){0,3}(?:refund|money)~24
        (?:refund)~10(?:status|yet|arrive|policy|take|still|processed|come|not received|hasn't|go to)
        (?:what(?:'s| is| are)|do you have|is there|are there|how (?:do|does)|does (?:it|this)|is (?:this|it|the)|do (?:these|they|you)|can (?:you tell|it|this|these)|which|are (?:these|you)|will (?:this|it) (?:fit|work)|how (?:big|heavy|many|much|tall|wide))~50\\?$
        (?:cancell?ation|return|refund|cancel)~4(?:policy|fee|fees|charge|window|terms|deadline|rules)
        (?:can i|is it possible to|could i|am i able to|will i be|would i)~10(?:still )?(?:cancel|return|be charged)~24(?:later|after|if|fee|free|once|penalt|days|any time|anytime|before)
        (?:if i cancel|if i return|after cancell?ing|when i cancel|what happens if)~40
        ^(?:ok|okay|thanks|thank you|thx|ty|hi|hello|hey|great|perfect|got it|cool|good morning|good afternoon|yes|no|cheers|alright|sure|understood|sounds good|fine|lol|haha|bye|test|testing|awesome|never mind|good|nice|asdf|are you there|anyone there|human|agent|speak to (?:a )?human)(?:[ ,.!?]{1,3}(?:ok|okay|thanks|thank you|so much|thx|ty|hi|hello|hey|great|perfect|got it|cool|there|team|for your help|for the help|a lot|yes|no|bye|have a (?:good|nice|great) day|please|agent|human|for|you|again|anyone|all|that's all|will do|everyone|then|it|all good|very much)){0,6}[ .!?:)]{0,4}$
        (?:how is|how's) the weather|tell me a joke|are you a (?:bot|robot|human|real)
        (?:do you|does it|does this)~30\\?
        ^(?:is it|does it|can it|will it|do you|is this|are these|does this) [a-z -]{3,40}$
        (?:where can i|how can i|how do i)~10(?:find|download|contact|get|use|redeem|leave|reach|see)~24
    """,
    ),
)

TONES: Final[RuleRows] = (
    (
        "URGENT",
        3,
        """
        asap|a\\.s\\.a\\.p|urgent(?:ly)?|immediately|immediate|right away|right now|at once|quick(?:ly)?|hurry|emergency|straight away|instantly|this instant|without delay|promptly|pronto
        as (?:soon|quickly|fast) as (?:possible|you can)
        (?:before|while)~10(?:it|they|you|this|the order|hasn't|still)~8(?:ships?|shipped|sends?|dispatch(?:ed)?|leaves?|goes out|is sent|gets sent|not shipped|hasn't shipped|goes)
        (?:don't|do not|stop|hold|please don't)~4(?:ship|send|dispatch)~8(?:it |this |the order )?(?:yet|out)?
        (?:intercept|stop the (?:shipment|package|delivery|parcel|courier|order)|recall the (?:package|parcel)|hold the (?:shipment|order|package))
        (?:cancel|refund|stop|fix|change|help|do|need|it|this|me|done) ~14now(?! it| i| costs?| the| says?| on| only)
        (?:cancel|refund|stop|fix|change|help)~24 now(?:$|[.!,])
        (?:today|tonight|tomorrow|tmrw|this afternoon|this evening|in the morning|first thing|day after tomorrow)~6(?:morning|evening|night|is|at|by|i|we|the|for|or)?~14(?:need|leav\\w{1,4}|fly\\w{0,3}|flight|wedding|birthday|party|exam|surgery|deadline|moving|move|trip|depart\\w{0,4}|expires?|interview|going|due)
        (?:need|needed|leav\\w{1,4}|fly\\w{0,3}|flight|wedding|birthday|party|exam|surgery|deadline|moving|move out|trip|depart\\w{0,4}|expires?|interview|must|has to|have to|due|by|before|until|concert|funeral|event|graduation|checkout|recital|show|ceremony|game|travell?ing|gone)~14(?:today|tonight|tomorrow|tmrw|this evening|this afternoon|day after tomorrow|noon|midnight|end of (?:the )?day|eod)
        (?:within|in|next|less than)~4(?:the next )?(?:an|one|two|three|\\d|[1-3]\\d|4[0-8]|a few|few|couple of) (?:hours?|hrs?|minutes?|mins?)
        (?:within|in)~4(?:a|one|1|24|48)~4(?:day|hours?|hrs)
    """,
    ),
    (
        "THREAT",
        3,
        """
        (?:chargeback|charge back|dispute|sue|suing|lawyer|attorney|legal action|small claims|court|bbb|better business bureau|trading standards|consumer (?:protection|affairs|rights|association)|ombudsman|ftc|regulator|police|watchdog|12315)
        (?:report|reporting|reported) (?:you|this|it|your|the)
        (?:file|filing|make|lodge|open|submit|filed|raise|raising)~8(?:complaint|dispute|claim|report|case)
        (?:complain|complaint) (?:to|with|about you)
        (?:leave|leaving|write|writing|post|posting|give|giving)~10(?:bad|negative|1[- ]star|one[- ]star|terrible|zero star|scathing|awful|honest) ?(?:star)?~3review
        (?:expose|go public|social media|twitter|tiktok|everyone will know|tell everyone|go viral|name and shame|reddit)
        (?:contact|contacting|call|calling|go to|tell|ask)~6my bank
        you'll (?:hear from|regret)
    """,
    ),
    (
        "HARM",
        3,
        """
        (?:charged|billed|debited|paid|deducted|charge|taken|took)~14(?:twice|two times|double|2x|three times|2 times)
        (?:double|duplicate|two|extra|second|multiple|unauthori[sz]ed|fraudulent|unrecogni[sz]ed|unknown)~4(?:charges?|payments?|debits?|transactions?|deductions?|charged|billed)
        (?:account|card)~14(?:hacked|stolen|compromised|accessed|broken into|hijacked|taken over|cloned)
        (?:hacked|scammed|scam|scammers?|fraud(?:ster|ulent)?|phishing|impersonat\\w{1,5}|identity theft)
        (?:didn't|did not|never)~4(?:authori[sz]e|approve)
        without my (?:permission|consent|authori[sz]ation|knowledge)
        (?:caught fire|exploded|on fire|burned (?:me|my|the)|burnt (?:me|my|the)|injur\\w{1,4}|electrocuted|electric shock|shocked me|hospital|allergic reaction|rash|burning|swollen|poison\\w{0,4}|cut my|bleeding|smoking|started smoking|sparks|made me sick|food poisoning)
        one order~24(?:two|twice|2)
        (?:statement|bank app|bank|card)~14(?:two|twice|2|three|double)~4(?:times|charges)?
    """,
    ),
    ("WORRY", 3, "worried|afraid|might|may|could|heard|reviews?|read|scared|what if|concerned|saw"),
    (
        "ANGRY",
        3,
        """
        (?:scam(?:mers?|ming)?|scammed|thieves|thief|crooks?|liars?|lying|lied|lies|fraudsters?|con artists?|cheats?|cheating|cheated|dishonest|robbery|rob|robbing|stealing|steal|stole)
        (?:ridiculous|unacceptable|disgusting|disgraceful|pathetic|outrageous|shameful|shame on|appalling|joke|a joke|absurd|insulting|infuriating|furious|angry|pissed|livid|fed up|sick of|sick and tired|had enough|fuming|inexcusable|incompetent|useless|worthless|clowns?|idiots?|morons?|stupid|garbage|trash|crap|bullshit|bs|wtf|fuck\\w{0,4}|shit\\w{0,2}|damn|hell|screw you|sucks?|rubbish|worst|terrible service|horrible service|awful service|nightmare|a disgrace|ripped off|rip-?off)
        never (?:again|buying|shopping|ordering|will i|using)~10
        (?:how dare|what a joke|are you kidding|you kidding me|seriously\\?|is this a joke|what kind of|unbelievable|give me a break|do you even|waste of)
        (?:bait and switch|false advertising|deceptive)
        (?:rude|insulted)~6
    """,
    ),
    (
        "SARCASM",
        3,
        """
        (?:great job|nice job|well done|bravo|good job|congrats|congratulations|slow clap|brilliant|fantastic|wonderful|lovely|amazing)(?:,| on| guys|\\.|!| service| work| for)~24
        thanks for (?:nothing|wasting|ruining|the (?:joke|laugh|lesson))
        (?:snail|turtle|tortoise|carrier pigeon|pony express|donkey|rowing boat|rowboat|horseback|glacier|glacial|walking it|swimming|swim|by foot|on foot|around the world|scenic route|world tour|mars|the moon)
        (?:grandchildren|grandkids|baby|kid|kids|son|daughter)~14(?:college|graduat\\w{1,5}|retired?|walking|married|grown)
        (?:grandchildren|grandkids|grow old|old age|next century|hell freezes|fossil|beard|grey hair|gray hair|great-grandchildren|in this lifetime|before i die|next ice age|retire(?:ment)?)
        (?:must be|guess|apparently|clearly|sure|i suppose)~6(?:nice|too hard|you guys|you're|building|growing|making|delivering|your idea|the factory)
        (?:so-called|lol right|yeah right|oh great|oh wow|how generous|how kind|so kind|so generous|impressive)
        (?:do i|should i|want me to)~10(?:thank you|send flowers|clap|applaud|pick it up from|beg)
    """,
    ),
)

MARKS: Final[RuleRows] = (
    (
        "DENY",
        1,
        """
        (?:not|isn't|wasn't|it's not|it isn't|is not|was not)~4(?:because|that|about|due to|for|a matter of|the)
        (?:nothing to do with|regardless of|despite|it's not like|not that)
        (?:it's|its|it is|it was|this is|that's) not
    """,
    ),
    (
        "DENYNEXT",
        1,
        """
        (?:no|not|nothing wrong with|no problem with|no issue with|no issues with|no complaints about|don't mind|don't care about|happy with|fine with|love|never had)(?: the| any| a| your| its| about| really)?
    """,
    ),
    (
        "DENYBACK",
        1,
        """
        (?:is|are|was|were|isn't|looks?)~4(?:fine|good|great|correct|ok|okay|perfect|not the (?:problem|issue|reason)|not an issue|irrelevant|not why|the problem)
    """,
    ),
    ("BUT", 1, "but|just|rather|instead|it's|because|i|actually|simply|only"),
    (
        "DECISIVE",
        1,
        """
        (?:main(?:ly)?|real|actual|biggest|primary|true)(?: reason| problem| issue| thing)?
        (?:actually|honestly|to be honest|tbh|the truth is|truth is|in fact|really because|the thing is|the key|bottom line|mostly|primarily|more importantly|most importantly|what really matters|in reality)
    """,
    ),
    ("LINK", 1, "also|too|and|plus|besides|as well|on top of that|moreover|in addition|another thing"),
)
