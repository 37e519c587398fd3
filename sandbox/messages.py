"""The message service. It keeps what was said, and of the address only a hash."""

import hashlib
import sqlite3

from sandbox.answers import Answer, Call, RefusalError, read_text
from sandbox.payment import find_connection
from sandbox.world import World, order_ns

TEXT_LENGTH_MAX = 10_000


def send_message(world: World, call: Call) -> Answer:
    message_id = read_text(call.body, "message_id")
    audience, channel = read_text(call.body, "audience"), read_text(call.body, "channel")
    template, address = read_text(call.body, "template"), read_text(call.body, "address", required=False)
    text, params = call.body.get("text"), call.body.get("params")
    if not isinstance(text, str) or len(text) > TEXT_LENGTH_MAX or not isinstance(params, dict):
        raise RefusalError(400, "PARAM_ERROR", "text: text; params: object")
    sent = _find(world, call.connection, message_id)
    if sent is None:
        result = find_connection(world, call.connection)["message_result"]
        reference = "msg_" + hashlib.sha256(f"{call.connection}/{message_id}".encode()).hexdigest()[:16]
        address_hash = hashlib.sha256(address.encode()).hexdigest()[:12]
        world.ledger.run(
            "INSERT INTO messages (connection, message_id, audience, channel, template, text, address_hash, result,"
            " reference, at_ns) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            *(
                call.connection,
                message_id,
                audience,
                channel,
                template,
                text,
                address_hash,
                result,
                reference,
                order_ns(),
            ),
        )
        sent = _find(world, call.connection, message_id)
    if sent is None:
        raise RefusalError(500, "SYSTEM_ERROR")
    return Answer(status=200, body={name: sent[name] for name in ("message_id", "result", "reference")})


def _find(world: World, connection: str, message_id: str) -> sqlite3.Row | None:
    return world.ledger.one("SELECT * FROM messages WHERE connection = ? AND message_id = ?", connection, message_id)
