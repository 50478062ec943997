-- Repeats the refusal of `enforce_limit`, before a session leaves another user for this one.
-- ARGV: limit of the user's sessions.
-- Answers L with the limit if the user has no room for one more, or P.

local user = call('HGET', all, 'u')
local limit = tonumber(ARGV[1])
if #live_sessions() >= limit then return answer('L', user, limit) end
return answer('P', user)
