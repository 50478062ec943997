-- Repeats the first half of `regenerate` for a session that becomes another user's: it ends here, and `create.lua`
-- begins it in the other user's hash. In between it is nobody's, so that there never are two.
-- ARGV: handle, key, grace, revoke; binding or ''; '1' to look only whether it may leave.
-- Answers T with when it was created, its lifetime and its idle timeout, its data, its binding and all keys that led to
-- it; P if it may leave; G if the key was regenerated a moment ago; or I.

local user, session, is_retired = name_and_session()
if not session or not is_bound_to(session, ARGV[5]) then return answer('I', user) end
if is_retired then return answer('G', user) end
if ARGV[6] == '1' then return answer('P', user) end
local kept = call('HMGET', all, 'd' .. session.handle, 'b' .. session.handle)
local times = {session.created, session.ends - session.authenticated, session.idle}
return answer('T', user, times, kept[1], kept[2], remove(session))
