-- A lease is told to be dead by its beats that stand still, not by anybody's wall clock.
alter table deployments drop column lease_until;
alter table deployments add column lease_beat bigint not null default 0;
-- Which deployments that nobody holds were looked at the longest ago?
create index deployments_unheld on deployments (finished, attended_at, id)
    where finished = 0 and lease_engine is null;
