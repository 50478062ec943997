-- Repeats `resolve`, for a key that a request presents beside the user it names.
-- ARGV: handle, key, grace, revoke.
-- Answers P.

local user = name_and_session()
return answer('P', user)
