drop table public.readiness_marker;
drop table shop.order_items, shop.orders, shop.products, shop.customers;
drop schema shop;
