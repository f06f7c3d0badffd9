-- now: all that are present
if not sweep(ARGV[1]) then return false end
return redis.call('ZRANGE', P .. ':nodes', 0, -1)
