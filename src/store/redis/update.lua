-- ARGV: handle, key, grace, revoke; data. Answers U or I.

local user = name()
local session, is_current = present(ARGV[1], ARGV[2], ARGV[3], ARGV[4])
if not is_current then return answer('I', user) end

session.used = math.max(session.used, now)
write(session)
redis.call('HSET', all, 'd' .. session.handle, ARGV[5])
return answer('U', user, expires(session) - now, pointer_life(session))
