-- Adds hints of one queue and says so, or nothing at all is said.
-- KEYS: the queue's streams. ARGV: about how many hints a stream keeps, after how many ms without
-- new ones it goes, the channel, what is said there, the name of an entry's field; then for each
-- stream the number of its ids, and the ids.
local keeps, expires, channel, word, field = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local at = 6

for _, key in ipairs(KEYS) do
  local last = at + tonumber(ARGV[at])
  for i = at + 1, last do
    redis.call('XADD', key, 'MAXLEN', '~', keeps, '*', field, ARGV[i])
  end
  redis.call('PEXPIRE', key, expires)
  at = last + 1
end
redis.call('PUBLISH', channel, word)
