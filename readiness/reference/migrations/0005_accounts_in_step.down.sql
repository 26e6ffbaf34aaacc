set lock_timeout = '1s';
drop trigger customer_to_account on shop.customers;
drop trigger account_to_customer on shop.accounts;
drop function shop.customer_to_account();
drop function shop.account_to_customer();
delete from shop.accounts;
