-- ARGV: handle, key, grace, revoke. Ends the session that the key stands for. Answers D.

local user, head = name_and_head()
local session = present(head)
if session then finish(session, 'i') end
return answer('D', user)
