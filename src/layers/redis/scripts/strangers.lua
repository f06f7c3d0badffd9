-- id, session, max, now, then tokens that are known: the others, each with its end, the first to end first. Nothing of another session's node.
local id, max, known, found = ARGV[1], tonumber(ARGV[3]), {}, {}
settle(id, ARGV[4])
local node = load(id)
if not node or node.session ~= ARGV[2] then return found end
for at = 5, #ARGV do known[ARGV[at]] = true end
local held = redis.call('ZRANGE', key('leases', id), 0, -1, 'WITHSCORES')
for at = 1, #held, 2 do
  if #found >= 2 * max then return found end
  if not known[held[at]] then
    found[#found + 1] = held[at]
    found[#found + 1] = held[at + 1]
  end
end
return found
