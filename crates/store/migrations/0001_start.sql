-- The first schema. One text for SQLite and PostgreSQL: TEXT and BIGINT only, times in unix ms,
-- booleans as 0 and 1, JSON as TEXT. Every index names the question that it answers.

-- Numbers that only grow. 'catalogue': versions of catalogue entries, never given out twice.
create table counters (
    name text primary key,
    value bigint not null
);
insert into counters (name, value) values ('catalogue', 0);

-- All five kinds of catalogue entries; body is the JSON of the domain type.
create table catalogue (
    kind text not null,
    name text not null,
    body text not null,
    version bigint not null,
    environment text,
    instances bigint not null,
    updated_at bigint not null,
    updated_by text not null,
    primary key (kind, name)
);
-- How many instances do the server groups of an environment have?
create index catalogue_instances on catalogue (environment, name, instances)
    where environment is not null;

-- Who refers to whom. Checked at commit, so that one batch may bring both ends in any order.
create table catalogue_references (
    from_kind text not null,
    from_name text not null,
    to_kind text not null,
    to_name text not null,
    primary key (from_kind, from_name, to_kind, to_name),
    foreign key (from_kind, from_name) references catalogue (kind, name)
        deferrable initially deferred,
    foreign key (to_kind, to_name) references catalogue (kind, name)
        deferrable initially deferred
);
-- Who refers to this entry, kind by kind, in the order of names?
create index catalogue_referrers on catalogue_references (to_kind, to_name, from_kind, from_name);

-- Holds on environments.
create table locks (
    environment text primary key,
    held_by text not null,
    since bigint not null,
    reason text not null
);

create table releases (
    service text not null,
    version text not null,
    -- SHA-256 of the package; null for a machine image
    digest text,
    -- id of the machine image; null for a package
    image text,
    size_bytes bigint not null,
    created_at bigint not null,
    created_by text not null,
    withdrawn_at bigint,
    withdrawn_by text,
    withdrawn_reason text,
    primary key (service, version)
);
-- The newest releases of a service.
create index releases_newest on releases (service, created_at, version);
-- Does a service have releases in use?
create index releases_in_use on releases (service, version) where withdrawn_at is null;

-- The journal. record is the JSON of the deployment, events the number of its last event.
create table deployments (
    id text primary key,
    service text not null,
    environment text not null,
    version bigint not null,
    record text not null,
    finished bigint not null,
    outcome text,
    surge bigint not null,
    events bigint not null,
    lease_engine text,
    lease_until bigint not null,
    attended_at bigint not null
);
-- One unfinished deployment per place; which one is it, and how large is its surge?
create unique index deployments_one_at_a_time on deployments (environment, service)
    where finished = 0;
-- Which unfinished deployments were looked at the longest ago?
create index deployments_unattended on deployments (attended_at, id) where finished = 0;
-- The newest of those that run: of all, of a service, of an environment. `finished` leads although
-- it is always 0 here: SQLite goes by the number of columns that match, and would otherwise look
-- for what runs now among all that ever ran.
create index deployments_unfinished on deployments (finished, id) where finished = 0;
create index deployments_unfinished_of_service on deployments (finished, service, id)
    where finished = 0;
create index deployments_unfinished_of_environment on deployments (finished, environment, id)
    where finished = 0;
-- The newest: of a place, of a service, of an environment.
create index deployments_of_place on deployments (service, environment, id);
create index deployments_of_service on deployments (service, id);
create index deployments_of_environment on deployments (environment, id);

-- What happened to a deployment, counted from 1 per deployment.
create table events (
    deployment text not null,
    seq bigint not null,
    body text not null,
    primary key (deployment, seq),
    foreign key (deployment) references deployments (id)
);

-- What is live where; launch and previous are JSON.
create table live (
    environment text not null,
    service text not null,
    version text not null,
    launch text not null,
    previous text,
    since bigint not null,
    deployment text not null,
    primary key (environment, service),
    foreign key (deployment) references deployments (id)
);
-- Where is a service live?
create index live_of_service on live (service, environment);

-- The audit log, chained by hashes, and what its last event must be.
create table audit_events (
    seq bigint primary key,
    at bigint not null,
    actor text not null,
    action text not null,
    subject text not null,
    detail text not null,
    previous_hash text not null,
    hash text not null
);
create index audit_of_actor on audit_events (actor, seq);
create index audit_of_action on audit_events (action, seq);
create index audit_of_subject on audit_events (subject, seq);
create table audit_tail (
    id bigint primary key check (id = 1),
    seq bigint not null,
    hash text not null
);
insert into audit_tail (id, seq, hash)
    values (1, 0, '0000000000000000000000000000000000000000000000000000000000000000');

-- Answers that are kept for a while, so that a repeated request gets the first one's answer.
create table idempotency (
    actor text not null,
    key text not null,
    request_hash text not null,
    status bigint not null,
    body text not null,
    expires_at bigint not null,
    primary key (actor, key)
);
-- Which answers are too old?
create index idempotency_expired on idempotency (expires_at);
