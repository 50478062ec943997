-- Repeats `regenerate`.
-- ARGV: handle, key, grace, revoke; new key, '1' if the user has authenticated again, data or '', how many retired
-- keys to remember; binding or '', new binding or ''; then also lifetime or '', idle timeout (0 for none) or ''.
-- Answers R with the life of the new key's pointer, the life of retired keys' pointers, the retired keys whose pointers
-- must stay longer, and the retired keys that it has forgotten; G if the key was regenerated a moment ago; or I.

local handle = ARGV[1]
local user, session, is_retired = name_and_session()
if not session or not is_bound_to(session, ARGV[9]) then return answer('I', user) end
if is_retired then return answer('G', user) end

local old, proved = session.key, session.authenticated
session.key = ARGV[5]
session.used = math.max(session.used, now)
if ARGV[6] == '1' then
  session.ends = now + (tonumber(ARGV[11]) or session.ends - session.authenticated)
  session.authenticated = now
  session.idle = tonumber(ARGV[12]) or session.idle
end
write(session)
if ARGV[7] ~= '' then call('HSET', all, 'd' .. handle, ARGV[7]) end
if ARGV[10] ~= '' then call('HSET', all, 'b' .. handle, ARGV[10]) end

-- Forgets the oldest retired keys: those that are of no use, and those that are too many.
local grace, revoke, most = tonumber(ARGV[3]), ARGV[4] == '1', tonumber(ARGV[8])
local retired = retired_keys(session) .. struct.pack(RETIRED, old, now, proved)
local forgotten = {}
while retired ~= '' do
  local oldest, moment = struct.unpack(RETIRED, retired)
  local is_of_use = revoke or now < moment + grace
  if is_of_use and #retired <= most * RETIRED_SIZE then break end
  forgotten[#forgotten + 1] = oldest
  retired = string.sub(retired, RETIRED_SIZE + 1)
end
if retired == '' then
  call('HDEL', all, 'q' .. handle)
else
  call('HSET', all, 'q' .. handle, retired)
end

local life = session.ends - now
if not revoke then life = math.min(life, grace) end
-- The pointers of keys that were retired earlier must stay longer only if the session has a new end.
local first = ARGV[6] == '1' and 1 or #retired - RETIRED_SIZE + 1
local kept = {}
for place = math.max(first, 1), #retired, RETIRED_SIZE do kept[#kept + 1] = string.sub(retired, place, place + 15) end
tell_detail(session)
return answer('R', user, {pointer_life(session), life}, table.concat(kept), table.concat(forgotten))
