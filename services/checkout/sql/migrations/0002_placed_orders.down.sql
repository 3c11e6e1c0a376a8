DROP INDEX orders_placed_of_customer;
