-- Repeats `list`.
-- ARGV: how many sessions to show; handle and key of the caller's own session, or '' twice; grace.
-- Answers S with 1 if there are more sessions, and the sessions, the oldest first: handle, times as in HEAD, idle
-- timeout, 1 for the caller's own, and data.

local user = call('HGET', all, 'u')
local live = live_sessions()
local limit = tonumber(ARGV[1])
local shown = {}
for at = 1, math.min(limit, #live) do
  local session = live[at]
  local is_own = session.handle == ARGV[2] and proved_by(session, ARGV[3], ARGV[4])
  shown[at] = {
    session.handle, {session.created, session.authenticated, session.used, session.ends}, session.idle,
    is_own and 1 or 0, call('HGET', all, 'd' .. session.handle),
  }
end
return answer('S', user, #live > limit and 1 or 0, shown)
