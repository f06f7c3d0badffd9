-- id, session, generation, env, slots, served, expiresAt, then pairs of field and JSON text. 0: a later session is known.
local id, generation = ARGV[1], tonumber(ARGV[3])
-- Before anything is written: what cannot be read must not be stored.
cjson.decode(ARGV[6])
local known = tonumber(redis.call('GET', key('generation', id)) or '0')
local before = load(id)
if known > generation or (before and tonumber(before.generation) > generation) then return 0 end
if before then removeNode(before) end
redis.call('SET', key('generation', id), ARGV[3], 'PX', GENERATION_MS)
local name = key('node', id)
redis.call('HSET', name, 'session', ARGV[2], 'generation', ARGV[3], 'env', ARGV[4], 'slots', ARGV[5], 'served', ARGV[6])
redis.call('HSET', name, unpack(ARGV, 8))
redis.call('ZADD', P .. ':nodes', ARGV[7], id)
local node = load(id)
enter(node)
keepAll(node)
wake(node)
return 1
