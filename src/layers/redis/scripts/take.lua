-- id, token, expiresAt, now. 1: the slot is taken.
local id, token = ARGV[1], ARGV[2]
local expiresAt, now = tonumber(ARGV[3]), tonumber(ARGV[4])
settle(id, ARGV[4])
local node = load(id)
if not node or expiresAt <= now then return 0 end
local known = redis.call('ZSCORE', key('leases', id), token)
if known then
  -- It moves at least a little, so that who saw it before can tell that it was taken since.
  setLease(id, token, math.max(tonumber(known) + 1, expiresAt))
  return 1
end
if leasedOf(id) >= node.slots then return 0 end
setLease(id, token, ARGV[3])
leasedMore(node, 1)
return 1
