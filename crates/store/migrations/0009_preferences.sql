-- What people prefer in the portal, and when a session last proved who it is.

-- A JSON text; null: nothing was chosen yet.
alter table people add column preferences text;
-- When the password was asked for again inside of a session; null: not since it began.
alter table sessions add column proved_at bigint;
