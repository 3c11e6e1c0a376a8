-- Takes all data with it.
DROP TABLE webhook_events, payments, order_vouchers, order_lines, orders, prices, products, customers;
DROP FUNCTION refuse_step_back();
