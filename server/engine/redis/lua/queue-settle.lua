-- Says what became of commands that were taken.
--
-- KEYS  1 the queue    2 the dead letters
-- ARGV  1 the group    2 this node    3 how many dead letters are kept    4 those before this id are not, "" for none
--       then for each command: what became of it, its place in the queue, and five words more of it:
--         done: nothing that counts
--         retry: for how long it counts as not acknowledged already, ms
--         dead: the command's id, the command, the reason, how often it was taken, when, Unix ms
--
-- A command that is not among those given out any more, since this was said before, is passed over.

local queue, group = KEYS[1], ARGV[1]
for at = 5, #ARGV, 7 do
  local became, entry = ARGV[at], ARGV[at + 1]
  if became == 'retry' then
    redis.call('XCLAIM', queue, group, ARGV[2], 0, entry, 'IDLE', ARGV[at + 2], 'JUSTID')
  elseif redis.call('XACK', queue, group, entry) == 1 then
    if became == 'dead' then
      redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[3], '*', 'id', ARGV[at + 2], 'command', ARGV[at + 3],
        'reason', ARGV[at + 4], 'tries', ARGV[at + 5], 'at', ARGV[at + 6])
      if ARGV[4] ~= '' then redis.call('XTRIM', KEYS[2], 'MINID', '~', ARGV[4]) end
    end
    redis.call('XDEL', queue, entry)
  end
end
return 1
