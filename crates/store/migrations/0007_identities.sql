-- Signing in by an identity provider.

-- What the provider of a group calls it; null for groups of our own.
alter table people_groups add column provider_group text;
-- Which group of ours is that one?
create unique index people_groups_of_provider on people_groups (provider, provider_group)
    where provider_group is not null;

-- Which provider a session is from, the sealed token with which it is asked again, when it was asked the
-- last time, and when it said yes the last time; null for sessions of our own.
alter table sessions add column provider text;
alter table sessions add column renewal text;
alter table sessions add column asked_at bigint;
alter table sessions add column confirmed_at bigint;

-- Who went to an identity provider and is not back yet: the hashes of the state and of the browser's cookie,
-- and what the answer has to fit.
create table sign_ins_begun (
    state text primary key,
    browser text not null,
    provider text not null,
    nonce text not null,
    verifier text not null,
    next text not null,
    ends_at bigint not null
);
-- Which have ended, which are the oldest?
create index sign_ins_begun_ended on sign_ins_begun (ends_at, state);
