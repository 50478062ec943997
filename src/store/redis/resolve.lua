-- Repeats `resolve`, for a key that a request presents beside the user it names.
-- ARGV: handle, key, grace, revoke.
-- Answers P.

local user, head = name_and_head()
resolve(head)
return answer('P', user)
