-- People, their tokens, and who may do what where.

create table people (
    name text primary key,
    created_at bigint not null,
    created_by text not null
);

-- A token is kept as its SHA-256 only; one token a person.
create table tokens (
    hash text primary key,
    person text not null unique,
    created_at bigint not null,
    created_by text not null,
    foreign key (person) references people (name)
);
insert into counters (name, value) values ('tokens', 0);

-- A role that a subject has in a scope. subject_name is empty for everyone who is signed in; team and
-- environment_type are null where any is meant.
create table grants (
    id text primary key,
    subject_kind text not null,
    subject_name text not null,
    role text not null,
    team text,
    environment_type text,
    ends_at bigint,
    created_at bigint not null,
    created_by text not null
);
-- What may this subject do?
create index grants_of_subject on grants (subject_kind, subject_name);

-- Whoever is signed in may do everything, until these grants are replaced by narrower ones.
insert into grants (id, subject_kind, subject_name, role, created_at, created_by) values
    ('everyone-operator', 'signed_in', '', 'operator', 0, 'pointsman'),
    ('everyone-governor', 'signed_in', '', 'governor', 0, 'pointsman'),
    ('everyone-admin', 'signed_in', '', 'admin', 0, 'pointsman');
