-- Takes up to a number of hints, from the first streams first.
-- KEYS: streams. ARGV: group, consumer, number, and the idle time in ms after which a hint that
-- another consumer holds is taken over, 0 to leave those alone.
-- Returns {place of the stream, entries} for each stream that gave some, perhaps twice, or the first
-- error if none did.
local group, consumer, left, idle = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local found, failure = {}, nil

local function keep(place, entries)
  if #entries > 0 then
    found[#found + 1] = {place, entries}
    left = left - #entries
  end
end

local function read(key)
  return redis.pcall('XREADGROUP', 'GROUP', group, consumer, 'COUNT', left, 'STREAMS', key, '>')
end

local function take_over(place, key)
  local answer = redis.pcall('XAUTOCLAIM', key, group, consumer, idle, '0-0', 'COUNT', left)
  -- Without the group there is nothing to take over.
  if not answer.err then keep(place, answer[2]) end
end

for place, key in ipairs(KEYS) do
  if left <= 0 then break end
  -- A queue that has nothing must not get a stream by being asked.
  if redis.call('EXISTS', key) == 1 then
    if idle > 0 then take_over(place, key) end
    if left > 0 then
      local answer = read(key)
      if answer and answer.err and string.find(answer.err, 'NOGROUP', 1, true) then
        answer = redis.pcall('XGROUP', 'CREATE', key, group, '0')
        if not answer.err then answer = read(key) end
      end
      if answer and answer.err then
        failure = failure or answer
      elseif answer then
        keep(place, answer[1][2])
      end
    end
  end
end

if #found == 0 and failure then return failure end
return found
