-- What several servers of one database have in common.

-- The kind of provider where a deployment takes place: only servers with such a cloud drive it.
alter table deployments add column provider text not null default 'local';

-- Which cloud of a kind everything in this database lives in, and where it was seen last.
create table clouds (
    kind text primary key,
    id text not null,
    host text not null,
    folder text not null
);

-- Packages in parts, for servers that did not receive the upload. A package is there once its row is.
create table packages (
    digest text primary key,
    parts bigint not null
);
create table package_parts (
    digest text not null,
    part bigint not null,
    content blob not null,
    primary key (digest, part)
);
