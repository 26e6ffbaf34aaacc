set lock_timeout = '1s';
drop table shop.delivery_notes;
