-- Repeats `destroy_user`.
-- ARGV: handle and key of the session to spare, or '' twice.
-- Answers M with how many sessions it destroyed.

local user = call('HGET', all, 'u')
local count = 0
for _, session in ipairs(live_sessions()) do
  if session.handle ~= ARGV[1] or session.key ~= ARGV[2] then
    finish(session, 'u')
    count = count + 1
  end
end
return answer('M', user, count)
