-- id, session, generation, env, slots, served, expiresAt, then pairs of field and JSON text. 0: a later session is known.
local id, generation, expiresAt = ARGV[1], tonumber(ARGV[3]), ARGV[7]
local known = tonumber(redis.call('GET', key('generation', id)) or '0')
local before = load(id)
if known > generation or (before and before.generation > generation) then return 0 end
if before then removeNode(before) end
redis.call('SET', key('generation', id), ARGV[3], 'PX', GENERATION_MS)
local name = key('node', id)
redis.call('HSET', name, 'session', ARGV[2], 'generation', ARGV[3], 'env', ARGV[4], 'slots', ARGV[5], 'served', ARGV[6])
redis.call('HSET', name, unpack(ARGV, 8))
keep(name)
redis.call('ZADD', P .. ':nodes', expiresAt, id)
keep(P .. ':nodes')
local node = load(id)
enter(node)
wake(node)
return 1
