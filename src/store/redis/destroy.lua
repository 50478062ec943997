-- ARGV: handle, key, grace, revoke. Ends the session that the key stands for. Answers D.

local user = name()
local session = present(ARGV[1], ARGV[2], ARGV[3], ARGV[4])
if session then finish(session, 'i') end
return answer('D', user)
