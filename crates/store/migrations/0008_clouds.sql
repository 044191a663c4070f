-- The cloud where a deployment takes place, such as aws/main/eu-west-1: a server may reach only some of those
-- of a provider.
alter table deployments add column cloud text not null default '';
