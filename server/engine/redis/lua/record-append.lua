-- Appends a record that belongs to no room's log, unless one of its name was appended a moment ago.
--
-- KEYS  1 the records    2 what stands for the record's name for a while
-- ARGV  1 its type       2 the record    3 how many records are kept    4 for how long the name is known, ms

if not redis.call('SET', KEYS[2], '1', 'NX', 'PX', ARGV[4]) then return 0 end
redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], '*', 'type', ARGV[1], 'record', ARGV[2])
return 1
