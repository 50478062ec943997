"""The course's task on Python's standard library: a dict, a flush a reply."""

import json
import sys
import time
import uuid

sessions = {}

for line in sys.stdin:
    message = json.loads(line)
    body = message["body"]
    kind = body["type"]
    if kind == "create_session":
        session_id = str(uuid.uuid4())
        expires_at = int(time.time()) + 3600
        sessions[session_id] = (body["user_id"], expires_at)
        reply = {"type": "session_created", "session_id": session_id, "expires_at": expires_at}
    elif kind == "validate_session":
        session = sessions.get(body["session_id"])
        left = session[1] - int(time.time()) if session else 0
        reply = {"type": "session_valid", "user_id": session[0], "expires_in": left} if left > 0 else {"type": "session_invalid"}
    elif kind == "regenerate_session":
        session = sessions.pop(body["old_session_id"], None)
        reply = {"type": "session_invalid"}
        if session:
            session_id = str(uuid.uuid4())
            sessions[session_id] = session
            reply = {"type": "session_regenerated", "new_session_id": session_id}
    elif kind == "destroy_session":
        sessions.pop(body["session_id"], None)
        reply = {"type": "session_destroyed", "message": "Session destroyed"}
    else:
        reply = {"type": "init_ok"}
    reply["in_reply_to"] = body["msg_id"]
    print(json.dumps({"src": message["dest"], "dest": message["src"], "body": reply}), flush=True)
