"""The four operations on Python's standard library."""

import json
import sys
import time
import uuid

TTL_SECONDS = 3600

sessions = {}


def live(session_id, now):
    """The user and the end of a session that is live, or None."""
    session = sessions.get(session_id)
    return session if session and session[1] > now else None


def answer(body):
    now = int(time.time())
    kind = body["type"]
    if kind == "validate_session":
        session = live(body["session_id"], now)
        if session is None:
            return {"type": "session_invalid"}
        return {"type": "session_valid", "user_id": session[0], "expires_in": session[1] - now}
    if kind == "create_session":
        session_id = str(uuid.uuid4())
        sessions[session_id] = (body["user_id"], now + TTL_SECONDS)
        return {"type": "session_created", "session_id": session_id, "expires_at": now + TTL_SECONDS}
    if kind == "regenerate_session":
        session = live(body["old_session_id"], now)
        sessions.pop(body["old_session_id"], None)
        if session is None:
            return {"type": "session_invalid"}
        session_id = str(uuid.uuid4())
        sessions[session_id] = session
        return {"type": "session_regenerated", "new_session_id": session_id}
    if kind == "destroy_session":
        sessions.pop(body["session_id"], None)
        return {"type": "session_destroyed", "message": "Session destroyed"}
    if kind == "init":
        return {"type": "init_ok"}
    return {"type": "error", "code": 10, "text": "not supported"}


def main():
    encode = json.JSONEncoder(separators=(",", ":")).encode
    for line in sys.stdin:
        request = json.loads(line)
        reply = answer(request["body"])
        reply["in_reply_to"] = request["body"]["msg_id"]
        print(encode({"src": request["dest"], "dest": request["src"], "body": reply}), flush=True)


main()
