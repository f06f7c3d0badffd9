-- What every script about nodes and leases begins with. Every key begins with the installation's name in braces, so that all of them
-- stand on one slot of a cluster, and a script may touch each. Nothing is looked for by scanning: what runs out is found by its time.
--
--   node:<id>            one present node: its fields as JSON text, and what the indexes need
--   generation:<id>      the highest generation that was announced, for a while after the node is gone
--   leases:<id>          tokens by the time when they run out
--   nodes, leaseends     nodes, and leases of all nodes, by the time when they run out
--   models:<env>         names of models that are served
--   model:<env>:<name>   sums over its nodes
--   free:<env>:<name>    ids of the nodes that could take a job at once
local P = KEYS[1]
-- Garbage collection only: whatever is not touched for so long is of a fleet that is gone.
local KEPT_MS = 172800000
local GENERATION_MS = 600000
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
    id = id, session = found[1], generation = tonumber(found[2]), env = found[3], slots = tonumber(found[4]),
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
  for _, served in ipairs(node.served) do
    local sums = key('model', node.env .. ':' .. served[1])
    local serving = redis.call('HINCRBY', sums, 'serving', by)
    for _, endpoint in ipairs(served[2]) do redis.call('HINCRBY', sums, endpoint, by) end
    if node.ready then
      redis.call('HINCRBY', sums, 'nodes', by)
      redis.call('HINCRBY', sums, 'slots', by * node.slots)
      redis.call('HINCRBY', sums, 'leased', by * leased)
    end
    local names = key('models', node.env)
    if serving > 0 then
      redis.call('SADD', names, served[1])
      keep(names)
      keep(sums)
    else
      redis.call('DEL', sums)
      redis.call('SREM', names, served[1])
    end
  end
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

local function removeLease(id, token)
  if redis.call('ZREM', key('leases', id), token) == 0 then return end
  redis.call('ZREM', P .. ':leaseends', id .. '|' .. token)
  local node = load(id)
  if node then
    leasedMore(node, -1)
    wake(node)
  end
end

local function setLease(id, token, expiresAt)
  redis.call('ZADD', key('leases', id), expiresAt, token)
  redis.call('ZADD', P .. ':leaseends', expiresAt, id .. '|' .. token)
  keep(key('leases', id))
  keep(P .. ':leaseends')
end

-- Removes what has run out by now, and tells whom that may have given a slot.
local function sweep(now)
  while true do
    local ends = redis.call('ZRANGEBYSCORE', P .. ':leaseends', '-inf', now, 'LIMIT', 0, 100)
    for _, lease in ipairs(ends) do
      local at = string.find(lease, '|', 1, true)
      local id, token = string.sub(lease, 1, at - 1), string.sub(lease, at + 1)
      if not redis.call('ZSCORE', key('leases', id), token) then redis.call('ZREM', P .. ':leaseends', lease) end
      removeLease(id, token)
    end
    local gone = redis.call('ZRANGEBYSCORE', P .. ':nodes', '-inf', now, 'LIMIT', 0, 100)
    for _, id in ipairs(gone) do
      local node = load(id)
      if node then
        removeNode(node)
        tell(namesOf(node))
      else
        redis.call('ZREM', P .. ':nodes', id)
      end
    end
    if #ends == 0 and #gone == 0 then return end
  end
end

local function view(id)
  local fields = redis.call('HMGET', key('node', id), unpack(FIELDS))
  if not fields[1] then return nil end
  fields[#fields + 1] = tostring(leasedOf(id))
  return fields
end
