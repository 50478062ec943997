-- ARGV: handle, key, grace, revoke; binding or '', longest age of the authentication in milliseconds or ''.
-- Answers V with when the session expires and for how long its pointers are to stay; A with the age of the
-- authentication, which is too high; or I.

local handle = ARGV[1]
local kept = call('HMGET', all, 'u', 's' .. handle, 'b' .. handle, 'd' .. handle)
local user, binding, data = kept[1], kept[3], kept[4]
local session = present(kept[2])
if not session then return answer('I', user) end
if binding and binding ~= ARGV[5] then return answer('I', user) end

local age = now - session.authenticated
if ARGV[6] ~= '' and age > tonumber(ARGV[6]) then return answer('A', user, age) end

-- Every use of a session with an idle timeout is written down, of others one a second, which only shows in lists.
local used_before = session.used
session.used = math.max(session.used, now)
if (session.idle > 0 and session.used > used_before) or session.used >= used_before + 1000 then write(session) end
return answer('V', user, expires(session) - now, pointer_life(session), data)
