-- Takes all data with it.
DROP TABLE hold_parts, grants, holds, commands, transfers, accounts, books, book_setup;
DROP FUNCTION refuse_change();
