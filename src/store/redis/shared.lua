-- What all scripts begin with. KEYS[1] is a hash that holds everything of one user:
--
--   u                the user's name
--   n                how many sessions have begun, which gives them an order
--   s HANDLE         a session: see HEAD
--   d HANDLE         its data, if it has some
--   b HANDLE         its binding, if it has one
--   r HANDLE         its retired keys, the oldest first, each with the moment of its retirement
--
-- A handle is 16 bytes, as is a key. Moments are milliseconds by this server's clock, so that all nodes agree on
-- what is live. A script reads and writes this one hash, which makes each operation atomic on any cluster.

local call = redis.call
local all = KEYS[1]

-- The key that the session has now, its place in the order, then its times: created, authenticated, last used, end,
-- and the idle timeout, 0 for none.
local HEAD = '>c16I6I6I6I6I6I6'
local RETIRED = '>c16I6'
local RETIRED_SIZE = 22

local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- What ended on the way, for the node: a letter for the reason, the handle, and all keys that led to the session.
local ended = {}

local function unpack_head(handle, head)
  local session = {handle = handle}
  session.key, session.order, session.created, session.authenticated, session.used, session.ends, session.idle =
    struct.unpack(HEAD, head)
  return session
end

local function read(handle)
  local head = call('HGET', all, 's' .. handle)
  return head and unpack_head(handle, head)
end

local function expires(session)
  if session.idle == 0 then return session.ends end
  return math.min(session.ends, session.used + session.idle)
end

-- The hash is to be there until its last session has expired, and then to be gone by itself.
local function keep_until(moment)
  if call('PEXPIRETIME', all) < moment then call('PEXPIREAT', all, moment) end
end

local function write(session)
  local head = struct.pack(HEAD, session.key, session.order, session.created, session.authenticated, session.used,
    session.ends, session.idle)
  call('HSET', all, 's' .. session.handle, head)
  keep_until(expires(session))
end

local function retired_keys(session)
  return call('HGET', all, 'r' .. session.handle) or ''
end

-- Ends a session: x expired, i destroyed by its id, h by its handle, u with all of its user, e evicted, r revoked.
local function finish(session, reason)
  local keys = {session.key}
  local retired = retired_keys(session)
  for at = 1, #retired, RETIRED_SIZE do keys[#keys + 1] = string.sub(retired, at, at + 15) end
  local handle = session.handle
  call('HDEL', all, 's' .. handle, 'd' .. handle, 'b' .. handle, 'r' .. handle)
  ended[#ended + 1] = reason .. handle .. table.concat(keys)
end

-- All live sessions, the oldest first. Those that have expired are ended.
local function live_sessions()
  local fields = call('HGETALL', all)
  local live = {}
  for at = 1, #fields, 2 do
    if string.byte(fields[at]) == 115 then
      local session = unpack_head(string.sub(fields[at], 2), fields[at + 1])
      if expires(session) <= now then finish(session, 'x') else live[#live + 1] = session end
    end
  end
  table.sort(live, function(one, other) return one.order < other.order end)
  return live
end

-- After sessions have ended: the hash goes with the last, and with those that are left otherwise. A user with very
-- many is not counted out each time; their hash may then stay until the end of a session that was destroyed.
local SMALL = 64
local function settle()
  if #ended == 0 then return end
  local fields = call('HLEN', all)
  if fields <= 2 then
    call('DEL', all)
  elseif fields <= SMALL then
    local last = 0
    for _, session in ipairs(live_sessions()) do last = math.max(last, expires(session)) end
    if last == 0 then call('DEL', all) else call('PEXPIREAT', all, last) end
  end
end

-- The session that a presented key stands for, and whether it is its key now or one in its grace. A key that was
-- retired before that shows, with `revoke`, that an id was stolen: the session ends. Takes the arguments with which
-- every script begins that is about a presented key, and the session's head.
local function present(head)
  local handle, key, grace, revoke = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
  if not head then return nil end
  local session = unpack_head(handle, head)
  if expires(session) <= now then
    finish(session, 'x')
    return nil
  end
  if session.key == key then return session, true end
  local retired = retired_keys(session)
  for at = 1, #retired, RETIRED_SIZE do
    local one, moment = struct.unpack(RETIRED, retired, at)
    if one == key then
      if now < moment + tonumber(grace) then return session, false end
      if revoke == '1' then finish(session, 'r') end
      return nil
    end
  end
  return nil
end

-- For how long a pointer to a session is to stay: beyond the next expiry if there is an idle timeout, so that it need
-- not be put off at every use.
local function pointer_life(session)
  local left = session.ends - now
  if session.idle == 0 then return left end
  return math.min(left, 2 * session.idle)
end

-- The answer of a script: a letter, the user's name, two numbers, data, and what ended.
local function answer(letter, user, one, other, data)
  settle()
  return {letter, user or false, one or 0, other or 0, data or false, ended}
end

-- The user's name, and the head of the session that the script is about.
local function name_and_head()
  local kept = call('HMGET', all, 'u', 's' .. ARGV[1])
  return kept[1], kept[2]
end
