-- Who writes one of the two tables writes the other one too, whichever way round.
set lock_timeout = '1s';
set statement_timeout = '30s';

create function shop.customer_to_account() returns trigger language plpgsql as $$
begin
    if pg_trigger_depth() > 1 then return null; end if;
    if tg_op = 'DELETE' then
        delete from shop.accounts where account_id = old.customer_id;
        return null;
    end if;
    insert into shop.accounts (account_id, email, full_name, country, created_at)
    values (new.customer_id, new.email, new.name, new.country, new.created_at)
    on conflict (account_id) do update set email = excluded.email,
        full_name = excluded.full_name, country = excluded.country,
        created_at = excluded.created_at;
    return null;
end $$;

create function shop.account_to_customer() returns trigger language plpgsql as $$
begin
    if pg_trigger_depth() > 1 then return null; end if;
    if tg_op = 'DELETE' then
        delete from shop.customers where customer_id = old.account_id;
        return null;
    end if;
    insert into shop.customers (customer_id, email, name, country, created_at)
    values (new.account_id, new.email, new.full_name, new.country, new.created_at)
    on conflict (customer_id) do update set email = excluded.email,
        name = excluded.name, country = excluded.country, created_at = excluded.created_at;
    return null;
end $$;

create trigger customer_to_account after insert or update or delete on shop.customers
    for each row execute function shop.customer_to_account();

insert into shop.accounts (account_id, email, full_name, country, created_at)
select customer_id, email, name, country, created_at from shop.customers;

create trigger account_to_customer after insert or update or delete on shop.accounts
    for each row execute function shop.account_to_customer();
