-- ARGV: handle, key, grace, revoke. Does what presenting a key does by itself: ends a session that has expired, or
-- one whose id was stolen. Answers P.

local user = name()
present(ARGV[1], ARGV[2], ARGV[3], ARGV[4])
return answer('P', user)
