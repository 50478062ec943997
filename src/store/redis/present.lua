-- ARGV: handle, key, grace, revoke. Does what presenting a key does by itself: ends a session that has expired, or
-- one whose id was stolen. Answers P.

local user, head = name_and_head()
present(head)
return answer('P', user)
