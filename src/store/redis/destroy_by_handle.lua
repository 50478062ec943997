-- ARGV: handle. Ends the user's session of this name. Answers D.

local user = name()
local session = read(ARGV[1])
if session and expires(session) > now then finish(session, 'h') end
return answer('D', user)
