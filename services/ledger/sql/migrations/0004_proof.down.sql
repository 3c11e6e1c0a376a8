DROP TABLE verifications, findings, seals;
