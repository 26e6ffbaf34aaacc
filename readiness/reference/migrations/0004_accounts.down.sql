set lock_timeout = '1s';
drop table shop.accounts;
