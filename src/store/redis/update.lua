-- Repeats `update`.
-- ARGV: handle, key, grace, revoke; data; binding or ''; '' if any data is expected, '-' if none is, or '+' and the
-- expected data.
-- Answers U with the time until the session's expiry and the life of its pointers; X if the session has other data than
-- the expected data; or I.

local user, session = name_and_session()
if not session or not is_bound_to(session, ARGV[6]) then return answer('I', user) end
if ARGV[7] ~= '' then
  local data = call('HGET', all, 'd' .. session.handle)
  if ARGV[7] ~= (data and '+' .. data or '-') then return answer('X', user) end
end

session.used = math.max(session.used, now)
write(session)
call('HSET', all, 'd' .. session.handle, ARGV[5])
tell_detail(session)
return answer('U', user, expires(session) - now, pointer_life(session))
