-- What people prefer in the portal, and when a session last proved who it is.

-- A JSON text; null: nothing was chosen yet.
alter table people add column preferences text;
-- When the password was asked for again inside of a session; null: not since it began.
alter table sessions add column proved_at bigint;

-- Which event of the audit log was the first at or after a time?
create index audit_events_of_time on audit_events (at, seq);
