-- id, session
local node = load(ARGV[1])
if node and node.session == ARGV[2] then removeNode(node) end
return 1
