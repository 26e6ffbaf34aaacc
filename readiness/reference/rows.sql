-- The rows of the shop: about 100,000, the same ones every time; times are counted back from now.
-- Run between the first migration and the second one.

set search_path = shop;

insert into customers (customer_id, email, name, country, created_at)
select n, 'customer' || n || '@example.com', 'Customer ' || n,
       (array['DE', 'FR', 'IT', 'ES', 'NL', 'PL'])[n % 6 + 1],
       now() - n * interval '2 hours'
from generate_series(1, 5000) n;

insert into products (product_id, sku, title, price_cents)
select n, 'SKU-' || lpad(n::text, 5, '0'), 'Product ' || n, 100 + n * 7919 % 9900
from generate_series(1, 500) n;

-- One to three items an order; the totals are the sums of the items.
insert into order_items (order_id, product_id, quantity, price_cents)
select n, p.product_id, 1 + (n + i) % 4, p.price_cents
from generate_series(1, 30000) n
cross join lateral generate_series(1, 1 + n % 3) i
join products p on p.product_id = 1 + (n * 31 + i * 97) % 500;

insert into orders (order_id, customer_id, status, total_cents, created_at)
select n, 1 + n * 7919 % 5000,
       case when n > 29500 then 'new' when n % 10 < 7 then 'shipped'
            when n % 10 < 9 then 'paid' else 'expired' end,
       sum(quantity * price_cents), now() - (30000 - n) * interval '10 minutes'
from generate_series(1, 30000) n join order_items on order_id = n
group by n order by n;

select setval(pg_get_serial_sequence('shop.customers', 'customer_id'), 5000);
select setval(pg_get_serial_sequence('shop.products', 'product_id'), 500);
select setval(pg_get_serial_sequence('shop.orders', 'order_id'), 30000);

insert into public.readiness_marker values ('reference');
