-- Repeats `update`.
-- ARGV: handle, key, grace, revoke; data.
-- Answers U with the time until the session's expiry and the life of its pointers, or I.

local user, session, is_current = name_and_session()
if not is_current then return answer('I', user) end

session.used = math.max(session.used, now)
write(session)
call('HSET', all, 'd' .. session.handle, ARGV[5])
return answer('U', user, expires(session) - now, pointer_life(session))
