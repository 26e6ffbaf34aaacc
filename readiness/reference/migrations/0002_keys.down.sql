revoke all on all sequences in schema shop from shop_app, shop_monitor;
revoke all on all tables in schema shop from shop_app, shop_monitor;
revoke usage on schema shop from shop_app, shop_monitor;
drop view shop.recent_orders;
drop index shop.orders_customer_id_idx, shop.orders_created_at_idx, shop.orders_status_idx,
    shop.orders_note_idx, shop.order_items_order_id_idx, shop.order_items_product_id_idx;
alter table shop.order_items
    drop constraint order_items_order_id_fkey, drop constraint order_items_product_id_fkey;
alter table shop.orders drop constraint orders_customer_id_fkey;
