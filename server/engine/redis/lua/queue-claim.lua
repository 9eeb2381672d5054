-- Takes commands that were given out, and not acknowledged for so long.
--
-- KEYS  1 the queue
-- ARGV  1 the group    2 this node    3 for how long they have not been, ms    4 how many at the most
--       5 of nodes that nothing was heard of for so long, ms, the group forgets those that hold nothing; 0: of none
--
-- Answers {id, how often it was given out, its fields} for each.

if tonumber(ARGV[5]) > 0 then
  for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
    local of = {}
    for at = 1, #consumer, 2 do of[consumer[at]] = consumer[at + 1] end
    if of.name ~= ARGV[2] and of.pending == 0 and of.idle > tonumber(ARGV[5]) then
      redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], of.name)
    end
  end
end

local late = redis.call('XPENDING', KEYS[1], ARGV[1], 'IDLE', ARGV[3], '-', '+', ARGV[4])
local reply = {}
for _, pending in ipairs(late) do
  local id = pending[1]
  -- One that is not in the queue any more is taken out of the list of those given out by this, and not given.
  local entry = redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], ARGV[3], id)[1]
  if entry then reply[#reply + 1] = { id, pending[4] + 1, entry[2] } end
end
return reply
