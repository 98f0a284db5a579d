-- Whose words are whose, so that they can be forgotten when their author asks for it.

ALTER TABLE gateway.rejected_updates ADD COLUMN telegram_id bigint;
COMMENT ON COLUMN gateway.rejected_updates.telegram_id IS 'Who sent it, as far as one can tell; null when nobody can.';
CREATE INDEX rejected_updates_by_sender ON gateway.rejected_updates (bot_id, telegram_id) WHERE telegram_id IS NOT NULL;

-- Only what is over and still says something: a row leaves the index when it is forgotten.
CREATE INDEX outbox_said_to ON gateway.outbox (user_id) WHERE state > 0 AND octet_length(payload) > 0;

COMMENT ON COLUMN gateway.inbox.payload IS 'The encoded purser.gateway.v1.Job; bytes, because what people type may hold NUL. Empty once forgotten.';
COMMENT ON COLUMN gateway.outbox.payload IS 'The encoded purser.gateway.v1.Reply. Empty once forgotten.';

-- What is said of too many messages is an answer too, and no job's.
COMMENT ON COLUMN gateway.outbox.lane IS '1 answer: the cause is a job''s id, or that of a rush of messages. 2 notice: the cause is an event''s id.';
