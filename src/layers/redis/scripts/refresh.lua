-- id, session, seenAt, expiresAt, served or '', then pairs of field and JSON text. 0: this session is not the announced one.
local id, served = ARGV[1], ARGV[5]
if served ~= '' then cjson.decode(served) end
settle(id, ARGV[3])
local before = load(id)
if not before or before.session ~= ARGV[2] then return 0 end
local couldTake = before.ready and leasedOf(id) < before.slots
local name = key('node', id)
redis.call('HSET', name, unpack(ARGV, 6))
if served ~= '' then redis.call('HSET', name, 'served', served) end
local after = load(id)
if served ~= '' or after.ready ~= before.ready then
  leave(before)
  enter(after)
end
redis.call('ZADD', P .. ':nodes', ARGV[4], id)
redis.call('SET', key('generation', id), after.generation, 'PX', GENERATION_MS)
keepAll(after)
if not couldTake or served ~= '' then wake(after) end
return 1
