-- Customers become accounts. Until everybody reads the new table, both are kept.
set lock_timeout = '1s';
set statement_timeout = '30s';

create table shop.accounts (
    account_id bigint primary key,
    email      text not null unique,
    full_name  text not null,
    country    text not null,
    created_at timestamptz not null
);
grant select, insert, update, delete on shop.accounts to shop_app;
grant select on shop.accounts to shop_monitor;
