-- Changes entries of a ledger, each where it is what it is to be changed from.
--
-- KEYS  1 the ledger, a hash
-- ARGV  three of each: the room, from, to; '' for none
--
-- Answers what each entry is now, '' for none.

local now = {}
for index = 1, #ARGV, 3 do
  local room, from, to = ARGV[index], ARGV[index + 1], ARGV[index + 2]
  local entry = redis.call('HGET', KEYS[1], room) or ''
  if entry == from and entry ~= to then
    if to == '' then redis.call('HDEL', KEYS[1], room) else redis.call('HSET', KEYS[1], room, to) end
    entry = to
  end
  now[#now + 1] = entry
end
return now
