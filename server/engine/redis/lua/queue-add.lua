-- Writes a command into the queue, unless one of its name was written a moment ago.
--
-- KEYS  1 the queue    2 what stands for the command's id for a while
-- ARGV  1 the id       2 the command    3 for how long the id is known, ms
--
-- Answers 1 where it is new, else 0.

if not redis.call('SET', KEYS[2], '1', 'NX', 'PX', ARGV[3]) then return 0 end
redis.call('XADD', KEYS[1], '*', 'id', ARGV[1], 'command', ARGV[2])
return 1
