-- How many orders a customer has placed is asked with every voucher.
CREATE INDEX orders_placed_of_customer ON orders (customer_id) WHERE state = 'placed';
