-- Appends an event to a room's log and hands it on, in one step.
--
-- KEYS  1 the log's end   2 the log   3 the publish's key, where it has one
-- ARGV  1 the record      2 an epoch, for a room that has none    3 how many events are kept
--       4 for how long, ms    5 for how long the end is kept, ms    6 the room's pub/sub name
--       7 PUBLISH or SPUBLISH    8 for how long the key is remembered, ms    9 1 where the room must be here already
--       10 the shard where keys have been looked for, "" for none
--
-- Answers "epoch offset"; ">shard move" where the room has moved to that shard; "?" where it must be here and is not;
-- "^shard ms" where keys may have been used while the room was on that shard, for so long yet: whoever asks looks for them
-- there. It is said to publishes without a key too, so that none of them overtakes one that has a key.

local moved, epoch, last, replid, gaps, move, from, arrived =
  unpack(redis.call('HMGET', KEYS[1], 'moved', 'epoch', 'offset', 'replid', 'gaps', 'move', 'from', 'arrived'))
if moved then return '>' .. moved .. ' ' .. move end
if not epoch and ARGV[9] == '1' then return '?' end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

if KEYS[3] then
  local first = redis.call('GET', KEYS[3])
  if first then return first end
end
if from and ARGV[10] ~= from and arrived + ARGV[8] > now then
  return '^' .. from .. string.format(' %.0f', arrived + ARGV[8] - now)
end

local current = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
local previous = tonumber(last or '0')

if not epoch then
  -- What stands in a log without an end is of an epoch that nobody knows any more.
  redis.call('DEL', KEYS[2])
  epoch = ARGV[2]
  redis.call('HSET', KEYS[1], 'epoch', epoch, 'replid', current)
  redis.call('PEXPIRE', KEYS[1], ARGV[5])
elseif replid ~= current then
  -- Another primary, or this one has been restarted: its log may lack a tail that somebody has seen, and the notes of
  -- jumps with it. Offsets go on where none of that can have been: at the time, in units of which a room never has as
  -- many events. The jump is noted.
  local base = math.max(time[1] * 2097152 + time[2], previous + 1)
  local noted = {}
  for gap in string.gmatch(gaps or '', '%S+') do noted[#noted + 1] = gap end
  noted[#noted + 1] = string.format('%.0f:%.0f', previous, base)
  while #noted > 16 do
    redis.call('HSET', KEYS[1], 'floor', string.match(noted[1], ':(%d+)'))
    table.remove(noted, 1)
  end
  redis.call('HSET', KEYS[1], 'replid', current, 'gaps', table.concat(noted, ' '))
  previous = base
end

local offset = string.format('%.0f', previous + 1)
local before = string.format('%.0f', previous)
redis.call('HSET', KEYS[1], 'offset', offset)
if redis.call('PTTL', KEYS[1]) * 2 < tonumber(ARGV[5]) then redis.call('PEXPIRE', KEYS[1], ARGV[5]) end
redis.call('XADD', KEYS[2], 'MAXLEN', '=', ARGV[3], offset .. '-0', 'm', string.format('%.0f ', now) .. before, 'r', ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[4])

local position = epoch .. ' ' .. offset
if KEYS[3] then redis.call('SET', KEYS[3], position, 'PX', ARGV[8]) end
redis.call(ARGV[7], ARGV[6], 'e' .. position .. ' ' .. before .. '\n' .. ARGV[1])
return position
