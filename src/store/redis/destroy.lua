-- Repeats `destroy_presented`.
-- ARGV: handle, key, grace, revoke.
-- Answers D.

local user, head = name_and_head()
local session = resolve(head)
if session then finish(session, 'i') end
return answer('D', user)
