-- A few rows that a migration, and its way back, must leave as they are.
insert into shop.customers (customer_id, email, name, country) values
    (1, 'ada@example.com', 'Ada', 'DE'), (2, 'grace@example.com', 'Grace', 'FR');
insert into shop.products (product_id, sku, title, price_cents) values (1, 'SKU-1', 'One', 100);
insert into shop.orders (order_id, customer_id, total_cents, note) values (1, 1, 200, 'fragile');
insert into shop.order_items (order_id, product_id, quantity, price_cents) values (1, 1, 2, 100);
