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

-- Each write of what a fail-over may lose, with the numbers of the commands (`~NUMBER~` in topic, correlation or token). What is
-- here on the server that was left, but not on the one that took over, was lost.
CREATE TABLE torture_written (at_ms bigint, xact bigint, kind "char", token text, text text);
CREATE INDEX torture_written_at ON torture_written (at_ms);

CREATE FUNCTION torture_marks(VARIADIC texts text[]) RETURNS text LANGUAGE sql AS
    $$ SELECT array_to_string(ARRAY(SELECT DISTINCT m[1] FROM unnest(texts) t, regexp_matches(t, '~([0-9]+)~', 'g') m), ' ') $$;

-- c: a claim, or that of a command that begins again; f: an outcome; u: another state of its calls.
CREATE FUNCTION torture_write_command() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE kind "char"; was command;
BEGIN
    was := CASE WHEN TG_OP = 'INSERT' THEN NEW ELSE OLD END;
    kind := CASE WHEN TG_OP = 'INSERT' OR (OLD.state = 5 AND NEW.state <> 5) THEN 'c'
                 WHEN OLD.state <> 5 AND NEW.state = 5 THEN 'f' WHEN NEW.state <> OLD.state THEN 'u' END;
    IF kind IS NOT NULL THEN
        INSERT INTO torture_written VALUES (torture_now(), txid_current(), kind, NEW.token, torture_marks(NEW.token, was.topic,
            encode(was.correlation_data, 'escape'), was.correlation_id, NEW.topic, encode(NEW.correlation_data, 'escape'), NEW.correlation_id));
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER torture_write_command AFTER INSERT OR UPDATE ON command FOR EACH ROW EXECUTE FUNCTION torture_write_command();

-- w: a duplicate waits; x: it does not any more.
CREATE FUNCTION torture_write_waiter() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE was waiter;
BEGIN
    was := CASE WHEN TG_OP = 'INSERT' THEN NEW ELSE OLD END;
    INSERT INTO torture_written VALUES (torture_now(), txid_current(), CASE WHEN TG_OP = 'INSERT' THEN 'w' ELSE 'x' END, was.token,
        torture_marks(was.token, was.topic, encode(was.correlation_data, 'escape'), was.correlation_id));
    RETURN NULL;
END $$;
CREATE TRIGGER torture_write_waiter AFTER INSERT OR DELETE ON waiter FOR EACH ROW EXECUTE FUNCTION torture_write_waiter();

-- o: a message.
CREATE FUNCTION torture_write_outbox() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO torture_written VALUES (torture_now(), txid_current(), 'o', coalesce(NEW.token, ''),
        torture_marks(encode(NEW.message, 'escape')));
    RETURN NULL;
END $$;
CREATE TRIGGER torture_write_outbox AFTER INSERT ON outbox FOR EACH ROW EXECUTE FUNCTION torture_write_outbox();

-- e: a step of a watch, its beginning or its end.
CREATE FUNCTION torture_write_watch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO torture_written VALUES (torture_now(), txid_current(), 'e', CASE WHEN TG_OP = 'DELETE' THEN OLD.token ELSE NEW.token END, '');
    RETURN NULL;
END $$;
CREATE TRIGGER torture_write_watch AFTER INSERT OR UPDATE OR DELETE ON watch FOR EACH ROW EXECUTE FUNCTION torture_write_watch();
