DROP TABLE redemptions;
DROP TABLE vouchers;
DROP TABLE campaigns;
