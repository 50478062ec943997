-- Repeats `destroy_by_handle`.
-- ARGV: handle.
-- Answers D.

local kept = call('HMGET', all, 'u', 's' .. ARGV[1])
local user, session = kept[1], kept[2] and unpack_head(ARGV[1], kept[2])
if session and expires(session) > now then finish(session, 'h') end
return answer('D', user)
