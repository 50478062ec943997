-- Repeats `destroy_user`.
-- ARGV: handle and key of the session to spare, or '' twice; grace.
-- Answers M with how many sessions it destroyed, or I if the session to spare is not one of the user's live ones.

local user = call('HGET', all, 'u')
local live = live_sessions()
if ARGV[1] ~= '' then
  local spared
  for at, session in ipairs(live) do
    if session.handle == ARGV[1] and proved_by(session, ARGV[2], ARGV[3]) then spared = at end
  end
  if not spared then return answer('I', user) end
  table.remove(live, spared)
end
for _, session in ipairs(live) do finish(session, 'u') end
return answer('M', user, #live)
