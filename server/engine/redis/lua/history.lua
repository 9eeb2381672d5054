-- Reads a log: its end, and a range of its events.
--
-- KEYS  1 the log's end   2 the log
-- ARGV  1 since, before or latest    2 the offset asked for    3 its epoch, "" where any will do
--       4 how many events at the most    5 how old one may be, ms    6 how many are kept
--       7 an epoch, for a room that has none    8 for how long the end is kept, ms    9 how many bytes at the most
--       10 1 where the room must be here already
--
-- Answers {epoch, end, state, offset, record, offset, record, …}: rising for `since`, else falling. The state is
-- "all"; "more", where the limit left out some; "lost", where the log does not reach back to the offset asked for; or
-- "gap", where a tail was lost that the offset lies in: the end is then where the log goes on after it. Whoever asks from
-- there has seen what is gone, and others may have missed it: the log gets another epoch, so that everybody is told.
-- Answers {">shard move"} where the room has moved to that shard, {"?"} where it must be here and is not.

local mode, asked, limit = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[4])
local maxBytes = tonumber(ARGV[9])

local moved, epoch, last, gaps, floor, replid, move =
  unpack(redis.call('HMGET', KEYS[1], 'moved', 'epoch', 'offset', 'gaps', 'floor', 'replid', 'move'))
if moved then return { '>' .. moved .. ' ' .. move } end
if not epoch and ARGV[10] == '1' then return { '?' } end

local function primary()
  return string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
end

if not epoch then
  redis.call('DEL', KEYS[2])
  epoch, last = ARGV[7], '0'
  redis.call('HSET', KEYS[1], 'epoch', epoch, 'offset', last, 'replid', primary())
  redis.call('PEXPIRE', KEYS[1], ARGV[8])
elseif redis.call('PTTL', KEYS[1]) * 2 < tonumber(ARGV[8]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[8])
end

local function fields(entry)
  local meta = entry[2][2]
  local space = string.find(meta, ' ', 1, true)
  return tonumber(string.sub(meta, 1, space - 1)), tonumber(string.sub(meta, space + 1))
end

-- Forgets what is too old, from the head on. Returns the log's start: the offset before the first event it still has.
local function trim()
  local time = redis.call('TIME')
  local oldest = time[1] * 1000 + math.floor(time[2] / 1000) - tonumber(ARGV[5])
  if redis.call('XLEN', KEYS[2]) > tonumber(ARGV[6]) then redis.call('XTRIM', KEYS[2], 'MAXLEN', '=', ARGV[6]) end
  local from, step = '-', 1
  while true do
    local head = redis.call('XRANGE', KEYS[2], from, '+', 'COUNT', step)
    for _, entry in ipairs(head) do
      local at, previous = fields(entry)
      if at > oldest then
        if from ~= '-' or entry ~= head[1] then redis.call('XTRIM', KEYS[2], 'MINID', '=', entry[1]) end
        return previous
      end
      from = '(' .. entry[1]
    end
    if #head < step then
      if from ~= '-' then redis.call('XTRIM', KEYS[2], 'MAXLEN', '=', 0) end
      return tonumber(last)
    end
    step = 16
  end
end

local start = trim()
local reply = { epoch, last, 'all' }

local function lost()
  reply[3] = 'lost'
  return reply
end

local function renew()
  reply[1] = ARGV[7]
  redis.call('HSET', KEYS[1], 'epoch', ARGV[7], 'replid', primary())
  redis.call('HDEL', KEYS[1], 'gaps', 'floor')
end

if mode ~= 'latest' and ARGV[3] ~= epoch then return lost() end

if mode == 'since' then
  local from = asked
  for survived, base in string.gmatch(gaps or '', '(%d+):(%d+)') do
    local low, high = tonumber(survived), tonumber(base)
    -- What came after the last that survived came after the jump too.
    if asked == low then from = high end
    if asked > low and asked < high then
      renew()
      if high < start then return lost() end
      reply[2], reply[3] = base, 'gap'
      return reply
    end
  end
  if floor and asked < tonumber(floor) then return lost() end
  if asked > tonumber(last) then
    -- Nothing was published since the tail was lost.
    if replid and replid ~= primary() then renew() end
    return lost()
  end
  if from < start then return lost() end
end

if mode == 'before' and asked < 1 then return reply end
local forward = mode == 'since'
local edge = mode == 'latest' and '+' or string.format('(%.0f-0', asked)
local count, bytes, step = 0, 0, 8
while true do
  step = math.min(step, limit + 1 - count)
  local part
  if forward then
    part = redis.call('XRANGE', KEYS[2], edge, '+', 'COUNT', step)
  else
    part = redis.call('XREVRANGE', KEYS[2], edge, '-', 'COUNT', step)
  end
  for _, entry in ipairs(part) do
    local record = entry[2][4]
    if count >= limit or count > 0 and bytes + #record > maxBytes then
      reply[3] = 'more'
      return reply
    end
    count, bytes = count + 1, bytes + #record
    reply[#reply + 1] = string.sub(entry[1], 1, -3)
    reply[#reply + 1] = record
    edge = '(' .. entry[1]
  end
  if #part < step then return reply end
  -- As many as may still fit, by what there was so far.
  step = math.max(1, math.min(256, math.ceil((maxBytes - bytes) * count / math.max(bytes, 1))))
end
