-- id, token, expiresAt, now. 1: it is still held.
settle(ARGV[1], ARGV[4])
if not redis.call('ZSCORE', key('leases', ARGV[1]), ARGV[2]) then return 0 end
setLease(ARGV[1], ARGV[2], ARGV[3])
return 1
