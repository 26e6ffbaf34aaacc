-- Foreign keys and indexes after the rows: quicker. Every foreign key has an index.
alter table shop.orders add foreign key (customer_id) references shop.customers;
alter table shop.order_items
    add foreign key (order_id) references shop.orders on delete cascade,
    add foreign key (product_id) references shop.products;
create index orders_customer_id_idx on shop.orders (customer_id);
create index orders_created_at_idx on shop.orders (created_at);
create index orders_status_idx on shop.orders (status, order_id desc);
create index orders_note_idx on shop.orders (note text_pattern_ops) where note is not null;
create index order_items_order_id_idx on shop.order_items (order_id);
create index order_items_product_id_idx on shop.order_items (product_id);

create view shop.recent_orders as
select o.order_id, o.created_at, o.status, o.total_cents, c.name as customer, c.country,
       (select count(*) from shop.order_items i where i.order_id = o.order_id) as items
from shop.orders o join shop.customers c using (customer_id)
where o.created_at > now() - interval '7 days';

grant usage on schema shop to shop_app, shop_monitor;
grant select, insert, update, delete on all tables in schema shop to shop_app;
grant usage on all sequences in schema shop to shop_app;
grant select on all tables in schema shop to shop_monitor;
grant select on all sequences in schema shop to shop_monitor;
