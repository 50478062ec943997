-- Every script begins with this text. The scripts repeat the rules of `store/rules/`, and name its functions.
--
-- KEYS[1] is a hash that holds everything of one user. A user of many sessions has a sorted set beside it, in the same
-- slot: the handles by their order, so that a page of a list costs what it shows. A script reads and writes no other
-- key, so each operation is atomic on any cluster. The fields of the hash:
--
--   u                the user's name
--   n                how many sessions have begun, which gives them an order
--   i                up to which n the sorted set is complete; with no such field, or an old one, it is of no use
--   s HANDLE         a session: see HEAD
--   d HANDLE         its data, if it has some
--   b HANDLE         its binding, if it has one
--   q HANDLE         its retired keys, the oldest first: see RETIRED
--
-- Handles and keys have 16 bytes. Moments are milliseconds by this server's clock, so all nodes agree on what is live.

-- ARGV[1] is the longest lifetime that the node's policy allows, and ARGV[2] '1' if the answer is to tell the times of
-- the session. They are taken away here, so that the arguments of each script are those that the script says.

local call = redis.call
local max_ttl = tonumber(table.remove(ARGV, 1))
local wants_detail = table.remove(ARGV, 1) == '1'
local all = KEYS[1]

-- Calls a command on the sorted set, and returns nil if that fails. While a cluster hands a slot over, the hash and the
-- set may be on different servers for a moment. So the set is not among KEYS, which would make the server refuse the
-- script, and nothing may depend on it: what it should say, the hash says too.
local brace = string.find(all, '{', 1, true)
local index = string.sub(all, 1, brace - 3) .. 'o:' .. string.sub(all, brace)
local function on_index(command, ...)
  local reply = redis.pcall(command, index, ...)
  if type(reply) == 'table' and reply.err then return nil end
  return reply
end

-- The session's present key, its place in the order, its times (created, authenticated, last used, end), and its idle
-- timeout, 0 for none.
local HEAD = '>c16I6I6I6I6I6I6'
-- A retired key, the moment of its retirement, and when the user had last authenticated until then.
local RETIRED = '>c16I6I6'
local RETIRED_SIZE = 28

local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- The sessions that the script has ended. For each: a letter for the reason, the handle, and all keys that led to it.
local ended = {}

local function unpack_head(handle, head)
  local session = {handle = handle}
  session.key, session.order, session.created, session.authenticated, session.used, session.ends, session.idle =
    struct.unpack(HEAD, head)
  -- Repeats `Lifetime::limited_to`.
  session.ends = math.min(session.ends, session.authenticated + max_ttl)
  return session
end

-- Repeats `Lifetime::expires_at`.
local function expires(session)
  if session.idle == 0 then return session.ends end
  return math.min(session.ends, session.used + session.idle)
end

-- Makes the server keep the hash until `moment`, and delete it by itself at the latest expiry of a session.
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
  return call('HGET', all, 'q' .. session.handle) or ''
end

-- Removes a session, and returns all keys that led to it.
local is_settled = true
local function remove(session)
  local keys = {session.key}
  local retired = retired_keys(session)
  for at = 1, #retired, RETIRED_SIZE do keys[#keys + 1] = string.sub(retired, at, at + 15) end
  local handle = session.handle
  call('HDEL', all, 's' .. handle, 'd' .. handle, 'b' .. handle, 'q' .. handle)
  on_index('ZREM', handle)
  is_settled = false
  return table.concat(keys)
end

-- Repeats `destroy` and `expire`. The reason is x for expired, e for evicted, and for destroyed: i by its id, h by its
-- handle, u with all sessions of its user, r by the reuse of a retired id.
local function finish(session, reason)
  ended[#ended + 1] = reason .. session.handle .. remove(session)
end

-- Repeats `live_of_user`.
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

-- Adjusts the end of the hash after sessions have gone, and deletes it with the last session. To read a hash of many
-- fields would cost too much, so such a hash may stay until the former end of a destroyed session.
local SMALL = 64
local function settle()
  if is_settled then return end
  local fields = call('HLEN', all)
  if fields <= 2 then
    call('DEL', all)
    on_index('DEL')
  elseif fields <= SMALL then
    local last = 0
    for _, session in ipairs(live_sessions()) do last = math.max(last, expires(session)) end
    if last > 0 then
      call('PEXPIREAT', all, last)
    else
      call('DEL', all)
      on_index('DEL')
    end
  end
end

-- Makes the server delete the sorted set together with the hash. If a use has prolonged the hash since, the set goes
-- earlier, and the next list makes it anew.
local function keep_index()
  on_index('PEXPIREAT', call('PEXPIRETIME', all))
end

-- Makes the sorted set of a user who has many sessions. `live` are all of them, by their order.
local MANY = 128
local function build_index(live)
  if #live <= MANY or not on_index('DEL') then return end
  for first = 1, #live, 1000 do
    local members = {}
    for at = first, math.min(first + 999, #live) do
      members[#members + 1] = live[at].order
      members[#members + 1] = live[at].handle
    end
    if not on_index('ZADD', unpack(members)) then return end
  end
  call('HSET', all, 'i', call('HGET', all, 'n'))
  keep_index()
end

-- Whether the sorted set knows all sessions, from what the hash says in n and i. A version of the node that does not
-- know the sorted set may have begun some.
local function is_indexed(n, i)
  return i and i == n and on_index('EXISTS') == 1
end

-- Returns when the user had last authenticated while `key` was the session's, if it is its present key or a retired one
-- within its grace period. A retired key comes with true, and one after its grace with nil and true.
local function proved_by(session, key, grace)
  if session.key == key then return session.authenticated, false end
  local retired = retired_keys(session)
  for at = 1, #retired, RETIRED_SIZE do
    local one, moment, authenticated = struct.unpack(RETIRED, retired, at)
    if one == key then
      if now < moment + tonumber(grace) then return authenticated, true end
      return nil, true
    end
  end
  return nil, false
end

-- Repeats `resolve_presented` and `handle_reuse`. Returns the session that the presented key names, whether the key is
-- a retired one, and the authentication that it proves. Takes the session's head, and ARGV as in every script on a
-- presented key: handle, key, grace, revoke.
local function resolve(head)
  if not head then return nil end
  local session = unpack_head(ARGV[1], head)
  if expires(session) <= now then
    finish(session, 'x')
    return nil
  end
  local authenticated, is_retired = proved_by(session, ARGV[2], ARGV[3])
  if authenticated then return session, is_retired, authenticated end
  if is_retired and ARGV[4] == '1' then finish(session, 'r') end
  return nil
end

-- Repeats the condition of `resolve_bound`.
local function is_bound_to(session, presented)
  local binding = call('HGET', all, 'b' .. session.handle)
  return not binding or binding == presented
end

-- For how long a pointer to the session should stay. With an idle timeout this reaches beyond the next expiry, so that
-- few uses have to prolong it.
local function pointer_life(session)
  local left = session.ends - now
  if session.idle == 0 then return left end
  return math.min(left, 2 * session.idle)
end

-- Repeats `tell_detail`: the times of a session as in HEAD, and its idle timeout, if the peer asked for them.
local detail = false
local function tell_detail(session)
  if not wants_detail then return end
  detail = {{session.created, session.authenticated, session.used, session.ends}, session.idle}
end

-- The answer of a script, which `reply.rs` parses: a letter for what the script has found, the user's name, what has
-- ended, the fields that belong to the letter, and what `tell_detail` has told.
local function answer(letter, user, ...)
  settle()
  return {letter, user or false, ended, {...}, detail}
end

-- For a script on a presented key: the user's name, and what `resolve` returns.
local function name_and_session()
  local kept = call('HMGET', all, 'u', 's' .. ARGV[1])
  return kept[1], resolve(kept[2])
end
