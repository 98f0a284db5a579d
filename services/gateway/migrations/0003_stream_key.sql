-- The key that seals what gateways put into the shards' streams, so that a worker takes nobody else's word for a job.
--
-- It lives beside the inbox on purpose: whoever can read it here could as well write jobs into the inbox.

CREATE TABLE gateway.stream_key (
    is_the_one boolean PRIMARY KEY DEFAULT true CHECK (is_the_one),
    key bytea NOT NULL CHECK (octet_length(key) = 32),
    made_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE gateway.stream_key IS 'One row. Workers are told the key by FetchJobs when they claim a shard; Redis never holds it.';
-- Each UUID has 122 bits of the server's strong random numbers.
INSERT INTO gateway.stream_key (key)
VALUES (sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8')));
GRANT SELECT ON gateway.stream_key TO purser_gateway;
