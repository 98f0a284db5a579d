-- Jobs that were set aside: listing them, and working one again as a new job. And what keeps a queue from growing for ever.

ALTER TABLE gateway.inbox ADD COLUMN replay_of uuid;
COMMENT ON COLUMN gateway.inbox.replay_of IS 'A replay: the job the user caused, however often it was replayed since. Null for what users do.';

-- One replay that is waiting or done; another one only when that one was set aside too.
CREATE UNIQUE INDEX inbox_replay_that_counts ON gateway.inbox (replay_of)
    WHERE replay_of IS NOT NULL AND outcome IS DISTINCT FROM 2;
CREATE INDEX inbox_replays ON gateway.inbox (replay_of, user_seq) WHERE replay_of IS NOT NULL;

CREATE INDEX inbox_set_aside_by_shard ON gateway.inbox (pool, shard, done_at) WHERE outcome = 2;

-- A replay is kept as long as what it replays, or nobody would know any more that there was one.
DROP INDEX gateway.inbox_done, gateway.inbox_set_aside;
CREATE INDEX inbox_done ON gateway.inbox (done_at) WHERE outcome = 1 AND replay_of IS NULL;
CREATE INDEX inbox_set_aside ON gateway.inbox (done_at) WHERE outcome = 2 OR replay_of IS NOT NULL;

ALTER TABLE gateway.users ADD COLUMN refused_at timestamptz;
COMMENT ON COLUMN gateway.users.refused_at IS 'When something of theirs was last left out because too much was waiting; null: never. Who is refused again soon is not told again.';
GRANT UPDATE (refused_at) ON gateway.users TO purser_gateway;

COMMENT ON COLUMN gateway.outbox.lane IS '1 answer: the cause is a job''s id, that of a rush of messages, or that of a wait. 2 notice: the cause is an event''s id.';
