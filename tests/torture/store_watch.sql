-- Set in the shared ledger of a torture run, see store_keeper.h.
-- A run that writes has its row in `bridge` until the commit, or removes it in the same transaction.
CREATE TABLE torture_removed (run bigint, instance text, xact bigint, at_ms bigint);
CREATE INDEX torture_removed_run ON torture_removed (run);
CREATE TABLE torture_adopted (old bigint, new bigint, token text, at_ms bigint);
CREATE TABLE torture_stale (run bigint, what text, at_ms bigint);

CREATE FUNCTION torture_now() RETURNS bigint LANGUAGE sql AS
    $$ SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint $$;

CREATE FUNCTION torture_remove() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO torture_removed VALUES (OLD.id, OLD.instance, txid_current(), torture_now());
    RETURN NULL;
END $$;
CREATE TRIGGER torture_remove AFTER DELETE ON bridge FOR EACH ROW EXECUTE FUNCTION torture_remove();

CREATE FUNCTION torture_check(writer bigint, what text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF writer IS NOT NULL AND NOT EXISTS (SELECT 1 FROM bridge WHERE id = writer)
        AND NOT EXISTS (SELECT 1 FROM torture_removed WHERE run = writer AND xact = txid_current()) THEN
        INSERT INTO torture_stale VALUES (writer, what, torture_now());
    END IF;
END $$;

-- A duplicate that joins a command, and its history, are written by any run: owner and state stay as they are.
CREATE FUNCTION torture_command() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM torture_check(coalesce(NEW.owner, NEW.claimed_by), 'claim of ' || NEW.token);
    ELSIF NEW.owner IS DISTINCT FROM OLD.owner OR (NEW.state, NEW.attempts) IS DISTINCT FROM (OLD.state, OLD.attempts) THEN
        PERFORM torture_check(coalesce(NEW.owner, OLD.owner), 'state ' || NEW.state || ' of ' || NEW.token);
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER torture_command AFTER INSERT OR UPDATE ON command
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION torture_command();

CREATE FUNCTION torture_adopt() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO torture_adopted VALUES (OLD.owner, NEW.owner, NEW.token, torture_now());
    RETURN NULL;
END $$;
CREATE TRIGGER torture_adopt AFTER UPDATE ON command FOR EACH ROW
    WHEN (NEW.owner IS NOT NULL AND OLD.owner IS NOT NULL AND NEW.owner <> OLD.owner) EXECUTE FUNCTION torture_adopt();

CREATE FUNCTION torture_outbox() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM torture_check(NEW.owner, 'message ' || NEW.id);
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER torture_outbox AFTER INSERT OR UPDATE ON outbox
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION torture_outbox();

CREATE FUNCTION torture_waiter() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM torture_check(NEW.bridge, 'duplicate of ' || NEW.token);
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER torture_waiter AFTER INSERT ON waiter
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION torture_waiter();
