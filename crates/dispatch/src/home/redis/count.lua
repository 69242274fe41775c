-- Adds one to a counter. KEYS: the counter. ARGV: its window in ms, which begins with the first.
local count = redis.call('INCR', KEYS[1])
-- A counter without an end would count for ever.
if redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return count
