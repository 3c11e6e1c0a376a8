"""The vouchers' tables. The only place that touches the database; the statements are in sql/*.sql."""
