-- Repeats `list`.
-- ARGV: how many sessions to show, '1' for the newest first, the order after which to go on or '', '1' without data;
-- handle and key of the caller's own session, or '' twice; grace.
-- Answers S with the order after which the list goes on, or false if it ends here, and with the sessions: handle, times
-- as in HEAD, idle timeout, 1 for the caller's own, and data.

local kept = call('HMGET', all, 'u', 'n', 'i')
local user = kept[1]
local limit, is_newest_first, after = tonumber(ARGV[1]), ARGV[2] == '1', tonumber(ARGV[3])
after = after or (is_newest_first and 2 ^ 53 or 0)

local function is_beyond(session)
  if is_newest_first then return session.order < after end
  return session.order > after
end

-- Where a list has met so many ended sessions, its page ends early.
local MOST_ENDED = 1000

-- Returns a page and, if the list is cut, one session more, or the end of the page's search.
local function page_of_index()
  local page, looked_at, last = {}, 0, after
  while #page <= limit do
    local wanted = limit + 1 - #page
    local handles
    if is_newest_first then
      handles = on_index('ZRANGE', '(' .. last, '-inf', 'BYSCORE', 'REV', 'LIMIT', 0, wanted)
    else
      handles = on_index('ZRANGE', '(' .. last, '+inf', 'BYSCORE', 'LIMIT', 0, wanted)
    end
    if not handles then return nil end
    if #handles == 0 then return page, false end
    local fields = {}
    for at, handle in ipairs(handles) do fields[at] = 's' .. handle end
    for at, head in ipairs(call('HMGET', all, unpack(fields))) do
      if not head then
        -- A version of the node that does not know the sorted set has ended it.
        on_index('ZREM', handles[at])
      else
        local session = unpack_head(handles[at], head)
        if expires(session) <= now then
          finish(session, 'x')
        else
          page[#page + 1] = session
          last = session.order
        end
      end
    end
    looked_at = looked_at + #handles
    if #handles < wanted then return page, false end
    if looked_at > limit + MOST_ENDED then return page, true end
  end
  return page, true
end

local function page_of_all()
  local live = live_sessions()
  build_index(live)
  local first, last, step = 1, #live, 1
  if is_newest_first then first, last, step = #live, 1, -1 end
  local page = {}
  for at = first, last, step do
    if is_beyond(live[at]) then
      page[#page + 1] = live[at]
      if #page > limit then return page, true end
    end
  end
  return page, false
end

local page, is_cut
if is_indexed(kept[2], kept[3]) then page, is_cut = page_of_index() end
if not page then page, is_cut = page_of_all() end
local shown = {}
for at = 1, math.min(limit, #page) do
  local session = page[at]
  local is_own = session.handle == ARGV[5] and proved_by(session, ARGV[6], ARGV[7])
  shown[at] = {
    session.handle, {session.created, session.authenticated, session.used, session.ends}, session.idle,
    is_own and 1 or 0, ARGV[4] ~= '1' and call('HGET', all, 'd' .. session.handle),
  }
  after = session.order
end
return answer('S', user, is_cut and after, shown)
