-- ARGV: how many sessions to show; handle and key of the asker's own session, or ''. Answers S with 1 if there are
-- more, and after what ended the sessions, the oldest first: handle, times as in HEAD, whether it is the asker's own,
-- and data.

local live = live_sessions()
local limit = tonumber(ARGV[1])
local shown = {}
for at = 1, math.min(limit, #live) do
  local session = live[at]
  local is_own = session.handle == ARGV[2] and session.key == ARGV[3]
  shown[at] = {
    session.handle, session.created, session.authenticated, session.used, session.ends, session.idle,
    is_own and 1 or 0, call('HGET', all, 'd' .. session.handle),
  }
end
local reply = answer('S', false, #live > limit and 1 or 0)
reply[#reply + 1] = shown
return reply
