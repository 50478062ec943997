-- Repeats `validate`.
-- ARGV: handle, key, grace, revoke; binding or '', the highest age of the authentication in milliseconds or '', '1' if
-- this is no use of the session.
-- Answers V with the time until the session's expiry, the life of its pointers, and its data; A with an age of the
-- authentication that is too high; or I.

local handle = ARGV[1]
local kept = call('HMGET', all, 'u', 's' .. handle, 'b' .. handle, 'd' .. handle)
local user, binding, data = kept[1], kept[3], kept[4]
local session, _, authenticated = resolve(kept[2])
if not session then return answer('I', user) end
if binding and binding ~= ARGV[5] then return answer('I', user) end

local age = now - authenticated
if ARGV[6] ~= '' and age > tonumber(ARGV[6]) then return answer('A', user, age) end

-- With an idle timeout, every use is written. Otherwise only lists show a use, so one write a second is enough.
if ARGV[7] ~= '1' then
  local used_before = session.used
  session.used = math.max(session.used, now)
  if (session.idle > 0 and session.used > used_before) or session.used >= used_before + 1000 then write(session) end
end
tell_detail(session)
return answer('V', user, {expires(session) - now, pointer_life(session)}, data)
