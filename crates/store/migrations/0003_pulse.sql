-- Written now and then, to see whether the database can be written.
create table pulse (
    id bigint primary key check (id = 1),
    tested_at bigint not null
);
insert into pulse (id, tested_at) values (1, 0);
