-- Repeats `destroy_presented`.
-- ARGV: handle, key, grace, revoke.
-- Answers D.

local user, session = name_and_session()
if session then finish(session, 'i') end
return answer('D', user)
