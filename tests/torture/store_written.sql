-- The last writes, for store_loss. Those of the server that was left end at its end; the other one goes on.
SELECT at_ms, xact, kind, token, text FROM torture_written WHERE at_ms > (SELECT max(at_ms) FROM torture_written) - 120000;
