-- ARGV: handle and key of a session to spare, or ''. Ends all others of the user. Answers D with how many.

local user = call('HGET', all, 'u')
local count = 0
for _, session in ipairs(live_sessions()) do
  if session.handle ~= ARGV[1] or session.key ~= ARGV[2] then
    finish(session, 'u')
    count = count + 1
  end
end
return answer('D', user, count)
