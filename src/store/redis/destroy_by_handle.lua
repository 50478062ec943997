-- Repeats `destroy_by_handle`.
-- ARGV: handle.
-- Answers D.

local user, head = name_and_head()
local session = head and unpack_head(ARGV[1], head)
if session and expires(session) > now then finish(session, 'h') end
return answer('D', user)
