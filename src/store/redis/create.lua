-- Repeats `create` and `keep_to_limit`. Also begins a session that has left another user's hash.
-- ARGV: handle, key, user, lifetime, idle timeout or 0, data or '', binding or '', limit of the user's sessions or 0,
-- '1' to reject a session beyond the limit; when the session was created, or '' if it is new.
-- Answers C with the session's expiry, or L with the limit.

local handle, key, user = ARGV[1], ARGV[2], ARGV[3]
local limit = tonumber(ARGV[8])

if limit > 0 then
  local live = live_sessions()
  if #live >= limit then
    if ARGV[9] == '1' then return answer('L', user, limit) end
    for at = 1, #live + 1 - limit do finish(live[at], 'e') end
  end
else
  -- A create adds one session, so looking at two shrinks the backlog of a user who always has live sessions.
  for _, field in ipairs(call('HRANDFIELD', all, 2)) do
    if string.byte(field) == 115 then
      local other = unpack_head(string.sub(field, 2), call('HGET', all, field))
      if expires(other) <= now then finish(other, 'x') end
    end
  end
end
settle()

-- If another session has the key, this one replaces it.
call('HDEL', all, 'd' .. handle, 'b' .. handle, 'q' .. handle)
local kept = call('HMGET', all, 'n', 'i')
local order = (tonumber(kept[1]) or 0) + 1
local session = {
  handle = handle, key = key, order = order,
  created = tonumber(ARGV[10]) or now, authenticated = now, used = now, ends = now + tonumber(ARGV[4]),
  idle = tonumber(ARGV[5]),
}
local fields = {'u', user, 'n', order}
if ARGV[6] ~= '' then fields[#fields + 1] = 'd' .. handle; fields[#fields + 1] = ARGV[6] end
if ARGV[7] ~= '' then fields[#fields + 1] = 'b' .. handle; fields[#fields + 1] = ARGV[7] end
local has_index = is_indexed(kept[1], kept[2]) and on_index('ZADD', order, handle)
if has_index then
  fields[#fields + 1] = 'i'; fields[#fields + 1] = order
end
call('HSET', all, unpack(fields))
write(session)
if has_index then keep_index() end
-- To look for it once in so many creates costs next to nothing.
if order % MANY == 0 and not kept[2] and call('HLEN', all) > MANY then build_index(live_sessions()) end
-- The hash is settled already: to settle it again would read all sessions of the user again.
tell_detail(session)
return {'C', user, ended, {expires(session)}, detail}
