-- Users are never deleted and never moved: what other tables keep of them rests on it, so the gateway's own role has no
-- right to do either.

REVOKE UPDATE, DELETE ON gateway.users FROM purser_gateway;
GRANT UPDATE (last_user_seq, language_code, display_name, blocked_at) ON gateway.users TO purser_gateway;
