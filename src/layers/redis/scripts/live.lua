-- What every script about nodes and leases begins with. Every key begins with the installation's name in braces, so that all of them
-- stand on one slot of a cluster, and a script may touch each. A model's keys cannot stand apart from the others: a node serves several
-- models from the same slots, so taking one changes the keys of all of them at once. Nothing is looked for by scanning: what runs out is
-- found by its time.
--
--   node:<id>            one present node: its fields as JSON text, and what the indexes need
--   generation:<id>      the highest generation that was announced, for a while after the node is gone
--   leases:<id>          tokens by the time when they run out
--   nodes, leaseends     nodes, and leases of all nodes, by the time when they run out
--   models:<env>         names of models that are served
--   model:<env>:<name>   sums over its nodes
--   free:<env>:<name>    ids of the nodes that could take a job at once
--
-- Names come as well-formed text without control characters (see KeyText.ts); cjson refuses others, and a script that stops halfway
-- leaves what it wrote.
local P = KEYS[1]
-- Garbage collection only, and renewed by each heartbeat: whatever is not touched for so long is of a fleet that is gone. No presence and
-- no lease is promised for nearly as long.
local KEPT_MS = 172800000
local GENERATION_MS = 600000
-- Indexes that one call may change for what ran out. The server does nothing else meanwhile, and a whole fleet may run out at once.
local WORK_MAX = 1000
local PAGE = 100
local FIELDS = { 'fixed', 'lifecycle', 'restrictions', 'healthy', 'gpus', 'models', 'track', 'digest', 'lastSeenAt' }

local function key(kind, id) return P .. ':' .. kind .. ':' .. id end
local function keep(name) redis.call('PEXPIRE', name, KEPT_MS) end

local function isReady(lifecycle, healthy, restrictions)
  return lifecycle == '"active"' and healthy == 'true' and restrictions == '[]'
end

local function load(id)
  local found = redis.call('HMGET', key('node', id), 'session', 'generation', 'env', 'slots', 'served', 'lifecycle', 'healthy', 'restrictions')
  if not found[1] then return nil end
  return {
    id = id, session = found[1], generation = found[2], env = found[3], slots = tonumber(found[4]),
    served = cjson.decode(found[5]), ready = isReady(found[6], found[7], found[8])
  }
end

local function leasedOf(id) return redis.call('ZCARD', key('leases', id)) end

local function updateFree(node, leased)
  for _, served in ipairs(node.served) do
    local free = key('free', node.env .. ':' .. served[1])
    if node.ready and leased < node.slots then
      redis.call('SADD', free, node.id)
      keep(free)
    else
      redis.call('SREM', free, node.id)
    end
  end
end

local function count(node, by, leased)
  local names = key('models', node.env)
  for _, served in ipairs(node.served) do
    local sums = key('model', node.env .. ':' .. served[1])
    local serving = redis.call('HINCRBY', sums, 'serving', by)
    for _, endpoint in ipairs(served[2]) do redis.call('HINCRBY', sums, endpoint, by) end
    if node.ready then
      redis.call('HINCRBY', sums, 'nodes', by)
      redis.call('HINCRBY', sums, 'slots', by * node.slots)
      redis.call('HINCRBY', sums, 'leased', by * leased)
    end
    if serving > 0 then
      redis.call('SADD', names, served[1])
      keep(sums)
    else
      redis.call('DEL', sums)
      redis.call('SREM', names, served[1])
    end
  end
  keep(names)
end

local function enter(node)
  local leased = leasedOf(node.id)
  count(node, 1, leased)
  updateFree(node, leased)
end

local function leave(node)
  count(node, -1, leasedOf(node.id))
  for _, served in ipairs(node.served) do redis.call('SREM', key('free', node.env .. ':' .. served[1]), node.id) end
end

-- A node that is here keeps what it is counted in, however long nothing else about it changes.
local function keepAll(node)
  keep(key('node', node.id))
  keep(P .. ':nodes')
  keep(key('models', node.env))
  for _, served in ipairs(node.served) do
    keep(key('model', node.env .. ':' .. served[1]))
    keep(key('free', node.env .. ':' .. served[1]))
  end
end

local function namesOf(node)
  local names = {}
  for _, served in ipairs(node.served) do names[#names + 1] = served[1] end
  return names
end

local function tell(names)
  if #names > 0 then redis.call('PUBLISH', P .. ':capacity', cjson.encode(names)) end
end

local function wake(node)
  if node.ready and leasedOf(node.id) < node.slots then tell(namesOf(node)) end
end

local function leasedMore(node, by)
  if node.ready then
    for _, served in ipairs(node.served) do redis.call('HINCRBY', key('model', node.env .. ':' .. served[1]), 'leased', by) end
  end
  updateFree(node, leasedOf(node.id))
end

local function removeNode(node)
  leave(node)
  redis.call('DEL', key('node', node.id))
  redis.call('ZREM', P .. ':nodes', node.id)
end

-- These tokens of the node, all at once: its models are counted again once and not for each. How much work it was.
local function removeLeases(id, tokens)
  local removed = 0
  for _, token in ipairs(tokens) do
    removed = removed + redis.call('ZREM', key('leases', id), token)
    redis.call('ZREM', P .. ':leaseends', id .. '|' .. token)
  end
  local node = removed > 0 and load(id)
  if not node then return #tokens end
  leasedMore(node, -removed)
  wake(node)
  return #tokens + #node.served
end

local function setLease(id, token, expiresAt)
  redis.call('ZADD', key('leases', id), expiresAt, token)
  redis.call('ZADD', P .. ':leaseends', expiresAt, id .. '|' .. token)
  keep(key('leases', id))
  keep(P .. ':leaseends')
end

local function endLeases(id, now) return removeLeases(id, redis.call('ZRANGEBYSCORE', key('leases', id), '-inf', now)) end

-- Whoever waits is told, because a node that left its models to others is news as well.
local function endNode(id)
  local node = load(id)
  if not node then
    redis.call('ZREM', P .. ':nodes', id)
    return 1
  end
  removeNode(node)
  tell(namesOf(node))
  return 1 + #node.served
end

-- Removes what of this node has run out by now: enough to be right about one node, whatever else has run out.
local function settle(id, now)
  endLeases(id, now)
  local ends = redis.call('ZSCORE', P .. ':nodes', id)
  if ends and tonumber(ends) <= tonumber(now) then endNode(id) end
end

-- Removes what has run out by now, wherever. False when some of it is left: a script answers nothing then and is asked again, so that
-- others get their turn.
local function sweep(now)
  local work = 0
  while true do
    local ends = redis.call('ZRANGEBYSCORE', P .. ':leaseends', '-inf', now, 'LIMIT', 0, PAGE)
    for _, lease in ipairs(ends) do
      work = work + 1 + endLeases(string.sub(lease, 1, string.find(lease, '|', 1, true) - 1), now)
      redis.call('ZREM', P .. ':leaseends', lease)
      if work >= WORK_MAX then return false end
    end
    local gone = redis.call('ZRANGEBYSCORE', P .. ':nodes', '-inf', now, 'LIMIT', 0, PAGE)
    for _, id in ipairs(gone) do
      work = work + endNode(id)
      if work >= WORK_MAX then return false end
    end
    if #ends == 0 and #gone == 0 then return true end
  end
end

local function view(id)
  local fields = redis.call('HMGET', key('node', id), unpack(FIELDS))
  if not fields[1] then return nil end
  fields[#fields + 1] = tostring(leasedOf(id))
  return fields
end
