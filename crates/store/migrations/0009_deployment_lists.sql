-- Who asked for a deployment; empty for those from before this was kept.
alter table deployments add column requested_by text not null default '';
-- The newest that somebody asked for.
create index deployments_of_person on deployments (requested_by, id);
-- The newest that ended in one way.
create index deployments_by_outcome on deployments (outcome, id);
