-- Appends records of a room's events where the room is recorded up to there still.
--
-- KEYS  1 the records    2 up to where the room is recorded
-- ARGV  1 up to where it is taken to be, "" for nowhere    2 up to where it is then    3 for how long that is kept, ms
--       4 how many records are kept    then the records
--
-- Answers 1; 0 where it is recorded up to somewhere else, and nothing was appended.

if (redis.call('GET', KEYS[2]) or '') ~= ARGV[1] then return 0 end
for at = 5, #ARGV do
  redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[4], '*', 'type', 'published', 'record', ARGV[at])
end
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
return 1
