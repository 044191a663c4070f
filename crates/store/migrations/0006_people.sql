-- People who sign in, service accounts, groups, sessions; tokens with an end; grants instead of
-- "everyone may do everything".

-- 'person' or 'service_account'; a service account belongs to a team.
alter table people add column kind text not null default 'person';
alter table people add column team text;
-- Who somebody is at the provider of their identity: 'local' is our own.
alter table people add column provider text not null default 'local';
alter table people add column subject text;
-- The password as argon2id wrote it; null: this person does not sign in with one.
alter table people add column password text;
alter table people add column signed_in_at bigint;
alter table people add column disabled_at bigint;
update people set subject = name;
-- Who is this at that provider?
create unique index people_identity on people (provider, subject);
-- Which service accounts does a team have?
create index people_of_team on people (team, name) where team is not null;
insert into counters (name, value) values ('people', 0);
update counters set value = (select count(*) from people) where name = 'people';

-- Tokens of people and service accounts. rights is a JSON array, null for all that the owner has.
alter table tokens rename to tokens_before;
create table tokens (
    id text primary key,
    hash text not null unique,
    person text not null,
    name text not null,
    rights text,
    team text,
    environment_type text,
    scrapes bigint not null,
    created_at bigint not null,
    created_by text not null,
    ends_at bigint not null,
    used_on bigint,
    used_from text,
    unique (person, name),
    foreign key (person) references people (name)
);
insert into tokens (id, hash, person, name, scrapes, created_at, created_by, ends_at)
    select hash, hash, person, 'first', 0, created_at, created_by, created_at + 31536000000
    from tokens_before;
drop table tokens_before;

-- The tokens of somebody, in the order of their ids.
create index tokens_of_person on tokens (person, id);

-- Sessions of browsers, and when each ends: idle, and at the latest.
create table sessions (
    id text primary key,
    hash text not null unique,
    person text not null,
    created_at bigint not null,
    seen_at bigint not null,
    idle_ends_at bigint not null,
    ends_at bigint not null,
    seen_from text not null,
    foreign key (person) references people (name)
);
-- Which sessions does a person have, oldest first?
create index sessions_of_person on sessions (person, created_at, id);
-- Which have ended?
create index sessions_ended on sessions (ends_at);

-- Codes that let somebody in once: an invitation, or a link from the command line.
create table sign_in_codes (
    hash text primary key,
    person text not null,
    ends_at bigint not null,
    foreign key (person) references people (name)
);
create index sign_in_codes_ended on sign_in_codes (ends_at);
-- Which codes does a person have?
create index sign_in_codes_of_person on sign_in_codes (person);

create table people_groups (
    name text primary key,
    provider text not null,
    created_at bigint not null,
    created_by text not null
);
create table group_members (
    group_name text not null,
    person text not null,
    primary key (group_name, person),
    foreign key (group_name) references people_groups (name),
    foreign key (person) references people (name)
);
-- Which groups is a person in?
create index groups_of_person on group_members (person, group_name);
insert into counters (name, value) values ('groups', 0), ('grants', 0);

-- Who may use a role, in the order of grants?
create index grants_of_role on grants (role, id);
drop index grants_of_subject;
-- What may this subject do, in the order of grants?
create index grants_of_subject on grants (subject_kind, subject_name, id);
delete from grants where id in ('everyone-operator', 'everyone-governor', 'everyone-admin');

-- Attempts that were refused, counted by the hour, so that many are one row.
create table refused_attempts (
    hour bigint not null,
    what text not null,
    who text not null,
    address text not null,
    times bigint not null,
    first_at bigint not null,
    last_at bigint not null,
    primary key (hour, what, who, address)
);
