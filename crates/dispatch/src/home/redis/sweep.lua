-- Deletes consumers that hold nothing.
-- KEYS: streams. ARGV: group, the idle time in ms after which a consumer's process is taken to be
-- gone, and the name of one that goes however short it was idle, or ''.
local group, idle, leaver = ARGV[1], tonumber(ARGV[2]), ARGV[3]

for _, key in ipairs(KEYS) do
  -- An error means that there is no stream or no group, hence no consumer.
  local consumers = redis.pcall('XINFO', 'CONSUMERS', key, group)
  if not consumers.err then
    for _, consumer in ipairs(consumers) do
      local fact = {}
      for i = 1, #consumer, 2 do fact[consumer[i]] = consumer[i + 1] end
      if fact.pending == 0 and (fact.name == leaver or fact.idle > idle) then
        redis.call('XGROUP', 'DELCONSUMER', key, group, fact.name)
      end
    end
  end
end
