/*
 * polling - which bridge reads the groups of a region, where several bridges share one ledger on PostgreSQL.
 *
 * Each command begins a watch; two of them are of one group, so that the second watch replaces the first one, in another region.
 * A watch has two steps: the second one is its last. README.md has the statement of each step. An atomic block lets others act
 * only where it waits.
 *
 * -DBRIDGES=n -DWATCHES=n  bridges; watches that are begun: 2 to 4, by 0 and 1 of one group, 2 and 3 of another one
 * -DFAULTS=n               how many of: a kill, an expulsion of a living run, a lost connection
 * -DFINE                   others may come between the statements of one pipeline, too
 * -DLAST=n -DSTRAYS=n      steps of a watch, 1 or 2; steps of watches that are not in the table any more
 * -DTRAP_NAME              puts one known mistake into the protocol
 */
#ifndef BRIDGES
#define BRIDGES 2
#endif
#ifndef WATCHES
#define WATCHES 3
#endif
#ifndef FAULTS
#define FAULTS 1
#endif

#define REGIONS 2
#define OBJECTS 2
#define OBJECT(w) ((w) / 2)
#define REGION(w) (((w) + 1) / 2 % 2) /* of 0 and 3 the first one, of 1 and 2 the second one */
#ifndef LAST
#define LAST 2 /* the Seq of the last step */
#endif
#ifndef STRAYS
#define STRAYS 1
#endif
#define RUNS (BRIDGES + FAULTS)
#define NONE 255
#define BIT(n) (1 << (n))

/* The tables, as they are committed. */
byte row[OBJECTS] = NONE, seq[OBJECTS];        /* table watch: the group's watch, and its steps so far */
bit has_row[REGIONS];                          /* table poller */
byte owner[REGIONS], changes[REGIONS];
bit registered[RUNS + 1];
/* Locks of their rows: the bridge + 1. Of a run: for KEY SHARE by its own transaction, or for DELETE by another's. */
byte row_lock[OBJECTS], region_lock[REGIONS];
bit guarded[RUNS + 1], expelling[RUNS + 1];
bit stands[RUNS + 1]; /* table step: the run's last transaction is committed */

byte stored;          /* the steps that were stored: two bits for each watch */
byte taken, begun;    /* watches whose command a bridge is about to finish; that are committed */
bit ended[RUNS + 1];  /* the process is gone */
byte run_of[BRIDGES], run_count, faults = FAULTS;
byte strays = STRAYS;      /* steps of a watch that is not in the table: a group that nobody asks for any more may change, or not */
byte known[BRIDGES];  /* the watches that the loop of a bridge polls */

/* What the thread of the lease tells the store. */
bit has_change[BRIDGES], has_watch_change[BRIDGES];
byte sum[BRIDGES];

byte i; /* only inside d_step */

#ifdef PROPERTY
#define PROMISE(n, condition) assert((n) != PROPERTY || (condition))
#else
#define PROMISE(n, condition) assert(condition)
#endif
#define STORED_ONCE 1    /* each step of a watch is stored once, one after the other */
#define NO_STALE_WRITE 2 /* no transaction commits when its run is expelled, and no registered run loses a region */
#define POLLED 3         /* when nothing can move any more, each watch was begun, and has come to its end or was replaced */
#define LEFT 4           /* then nobody knows a watch that is not there, and before that nobody knows one twice */

/* Between two statements that are sent together, or with nothing in between that others see. */
#ifdef FINE
#define NEXT }; atomic {
#else
#define NEXT
#endif

#ifdef TRAP_GUARD_WITHOUT_LOCK
#define GUARD if :: registered[me] -> stands[me] = 0 :: else -> goto expelled fi
#else
#define GUARD !expelling[me]; if :: registered[me] -> guarded[me] = 1; stands[me] = 0 :: else -> goto expelled fi
#endif

inline unlock() {
    for (i : 0 .. OBJECTS - 1) { if :: row_lock[i] == c -> row_lock[i] = 0 :: else fi }
    for (i : 0 .. REGIONS - 1) { if :: region_lock[i] == c -> region_lock[i] = 0 :: else fi }
    i = 0; guarded[me] = 0
}

#define BEGIN 1
#define STEP 2
#define TAKE 3
inline commit(kind) {
    PROMISE(NO_STALE_WRITE, registered[me]);
    if
    :: kind == BEGIN ->
        row[OBJECT(w)] = w; seq[OBJECT(w)] = 0; begun = begun | BIT(w);
        for (i : 0 .. REGIONS - 1) {
            if
            :: region_lock[i] == c && !has_row[i] -> has_row[i] = 1; owner[i] = me
#ifndef TRAP_CHANGES_NOT_COUNTED
            :: region_lock[i] == c && has_row[i] && owner[i] != me -> changes[i]++
#endif
            :: else
            fi
        }
    :: kind == STEP ->
        PROMISE(STORED_ONCE, !(stored & BIT(2 * w + steps[w])));
        PROMISE(STORED_ONCE, steps[w] == 0 || (stored & BIT(2 * w)));
        stored = stored | BIT(2 * w + steps[w]);
        seq[OBJECT(w)] = steps[w] + 1;
        if
        :: steps[w] + 1 == LAST -> row[OBJECT(w)] = NONE; seq[OBJECT(w)] = 0
        :: else
        fi
    :: kind == TAKE ->
        for (i : 0 .. REGIONS - 1) {
            if
            :: region_lock[i] == c ->
                PROMISE(NO_STALE_WRITE, owner[i] == 0 || !registered[owner[i]]);
                owner[i] = me
            :: else
            fi
        }
    fi;
    unlock();
    stands[me] = 1
}

#define KNOWN 0
#define UNKNOWN 1
#define KILLED 2
inline end_transaction(kind) {
    if
    :: d_step { result = KNOWN; commit(kind) }
    :: d_step { faults > 0 -> faults--; result = UNKNOWN; commit(kind) }
    :: d_step { faults > 0 -> faults--; result = UNKNOWN; unlock() }
    :: d_step { faults > 0 -> faults--; result = KILLED; commit(kind) }
    :: d_step { faults > 0 -> faults--; result = KILLED; unlock() }
    fi
}

/* After a lost connection: wait for the end of the old transaction, then read whether it stands. */
inline reconnect() {
    !expelling[me];
    if
    :: registered[me]
    :: else -> goto expelled
    fi
}

/* The region's row gets a lock, for an insert or a new number of changes. */
inline note(r) {
    if
    :: (r) != NONE ->
        region_lock[r] == 0 || region_lock[r] == c;
        region_lock[r] = c
    :: else
    fi
}

inline forget_polled() { had[0] = NONE; had[1] = NONE; must_read = 1 }

/* What the loop hears: hooks.polls of the regions that were read. */
inline report_polls() {
    for (i : 0 .. WATCHES - 1) {
        if
        :: (read & BIT(REGION(i))) && (listed & BIT(i)) && !(known[b] & BIT(i)) -> known[b] = known[b] | BIT(i); steps[i] = listed_steps[i]
        :: (read & BIT(REGION(i))) && !(listed & BIT(i)) && (known[b] & BIT(i)) -> known[b] = known[b] & ~BIT(i); steps[i] = 0
        :: else
        fi;
        listed_steps[i] = 0
    }
    i = 0; read = 0; listed = 0
}

inline report_request() {
    if
    :: begins && watched ->
        PROMISE(LEFT, !(known[b] & BIT(w)));
        known[b] = known[b] | BIT(w); steps[w] = 0
    :: else
    fi;
    if
    :: begins && replaced != NONE -> known[b] = known[b] & ~BIT(replaced); steps[replaced] = 0
    :: else
    fi;
    begins = 0; watched = 0; replaced = NONE
}

/* What is checked again on the newest version of the row. */
#ifndef TRAP_TAKEN_WITH_ANTI_JOIN
#define IS_LOST(r) (has_row[r] && (lost & BIT(owner[r])))
#else
#define IS_LOST(r) (lost_regions & BIT(r))
#endif
#define IN_TABLE(w) (row[OBJECT(w)] == (w))
#ifndef TRAP_SEQ_NOT_COMPARED
#define IS_SEQ (seq[OBJECT(w)] == steps[w])
#else
#define IS_SEQ true
#endif
#define HAS_STEP(w) ((known[b] & BIT(w)) && (IN_TABLE(w) || strays > 0))
#define HAS_BEGIN(w) (!(taken & BIT(w)) && ((w) % 2 == 0 || (begun & BIT((w) - 1))))

proctype Bridge(byte b) {
    byte me = b + 1, c = b + 1;
    /* the loop */
    byte steps[WATCHES]; /* of the watches that it knows */
    /* the store */
    bit must_take = 1, must_read = 1;
    byte had[REGIONS] = NONE; /* the number of changes as of the last reading */
    bit begins = 0, storing = 0;
    byte w = NONE, result = 0, lost = 0, lost_regions = 0, read = 0, listed = 0, listed_steps[WATCHES], now[REGIONS] = NONE;
    byte first = NONE, second = NONE; /* regions, in one order */
    bit watched = 0, is_poller = 0;
    byte replaced = NONE;
end:
    do
    /* A batch: one request or none, then what the lease has told. */
    :: atomic {
        if
        :: HAS_BEGIN(0) -> w = 0; begins = 1
        :: HAS_BEGIN(1) -> w = 1; begins = 1
        :: HAS_STEP(0) -> w = 0; storing = 1
        :: HAS_STEP(1) -> w = 1; storing = 1
#if WATCHES > 2
        :: HAS_BEGIN(2) -> w = 2; begins = 1
        :: HAS_STEP(2) -> w = 2; storing = 1
#endif
#if WATCHES > 3
        :: HAS_BEGIN(3) -> w = 3; begins = 1
        :: HAS_STEP(3) -> w = 3; storing = 1
#endif
        :: has_change[b] || has_watch_change[b] || must_take || must_read
        fi;
        if
        :: begins -> taken = taken | BIT(w)
        :: storing && !IN_TABLE(w) -> strays--
        :: else
        fi
       };

        /* The outcome of a command with which a watch begins. */
begin:
        if
        :: begins ->
            atomic {
                GUARD;
                row_lock[OBJECT(w)] == 0;
                if
                :: row[OBJECT(w)] != NONE -> row_lock[OBJECT(w)] = c; replaced = row[OBJECT(w)]
                :: else -> replaced = NONE
                fi;
                first = REGION(w); second = NONE;
#ifndef TRAP_REPLACED_ONE_NOT_COUNTED
                if
                :: replaced != NONE && REGION(replaced) < REGION(w) -> first = REGION(replaced); second = REGION(w)
                :: replaced != NONE && REGION(replaced) > REGION(w) -> second = REGION(replaced)
                :: else
                fi;
#endif
#ifdef TRAP_REGIONS_IN_ANY_ORDER
                first = REGION(w); second = (replaced != NONE && REGION(replaced) != REGION(w) -> REGION(replaced) : NONE)
#endif
            };
            if /* the client's turn */
            :: skip
            :: atomic { faults > 0 -> faults--; d_step { unlock() }; goto killed }
            fi;
            atomic {
                note(first);
                NEXT
                note(second);
                NEXT
                watched = !has_row[REGION(w)] || owner[REGION(w)] == me;
                first = NONE; second = NONE;
                end_transaction(BEGIN);
                if
                :: result == KNOWN
                :: result == UNKNOWN ->
                    reconnect();
                    if
                    :: stands[me] ->
                        /* the answer of the statement may have come, or not */
                        if :: watched = 0 :: skip fi;
#ifndef TRAP_LOST_ANSWER_NOT_READ
                        forget_polled()
#else
                        watched = 0
#endif
                    :: else -> replaced = NONE; watched = 0; goto begin
                    fi
                :: result == KILLED -> goto killed
                fi
            }
        :: else
        fi;

        /* A step. */
step:
        if
        :: storing ->
            atomic {
                GUARD;
                is_poller = (owner[REGION(w)] == me);
                NEXT
                row_lock[OBJECT(w)] == 0;
                if
                :: is_poller && row[OBJECT(w)] == w && IS_SEQ -> row_lock[OBJECT(w)] = c
                :: else ->
                    d_step { unlock() };
#ifndef TRAP_STEP_SENT_AGAIN
                    forget_polled();
#endif
                    known[b] = known[b] & ~BIT(w); steps[w] = 0; storing = 0
                fi;
                is_poller = 0
            };
            if
            :: storing ->
                if /* the client's turn */
                :: skip
                :: atomic { faults > 0 -> faults--; d_step { unlock() }; goto killed }
                fi;
                atomic {
                    end_transaction(STEP);
                    if
                    :: result == KILLED -> goto killed
                    :: result == UNKNOWN ->
                        reconnect();
                        if
#if !defined(TRAP_STEP_SENT_AGAIN) && !defined(TRAP_SEQ_NOT_COMPARED)
                        :: stands[me]
#endif
                        :: else -> goto step
                        fi
                    :: result == KNOWN
                    fi;
                    storing = 0;
                    if
                    :: steps[w] + 1 == LAST -> known[b] = known[b] & ~BIT(w); steps[w] = 0
                    :: else -> steps[w]++
                    fi
                }
            :: else
            fi
        :: else
        fi;

        /* The end of the batch: regions that nobody polls. */
        atomic {
            must_read = must_read || has_watch_change[b];
#ifndef TRAP_FLAG_CLEARED_AFTER_THE_READING
            has_watch_change[b] = 0;
#endif
            must_take = must_take || has_change[b]; has_change[b] = 0;
            lost = 0; lost_regions = 0;
            if
            :: must_take -> d_step {
                for (i : 0 .. REGIONS - 1) {
                    if
                    :: has_row[i] && !registered[owner[i]] -> lost = lost | BIT(owner[i]); lost_regions = lost_regions | BIT(i)
                    :: else
                    fi
                }
                i = 0; must_take = (lost != 0)
               }
            :: else
            fi;
            if
            :: !must_take -> goto reading
            :: else
            fi
        };
        atomic {
            GUARD;
            region_lock[0] == 0;
            if
            :: IS_LOST(0) -> region_lock[0] = c
            :: else
            fi;
            NEXT
            region_lock[1] == 0;
            if
            :: IS_LOST(1) -> region_lock[1] = c
            :: else
            fi;
            NEXT
            end_transaction(TAKE);
            lost = 0; lost_regions = 0; must_read = 1;
            if
            :: result == KNOWN -> must_take = 0
            :: result == UNKNOWN -> reconnect() /* the next batch looks for lost regions again */
            :: result == KILLED -> goto killed
            fi
        };

        /* The watches of the regions that this run polls: first the numbers of changes. */
reading:
        atomic {
            if
            :: !must_read || must_take -> goto reporting
            :: else
            fi;
#ifdef TRAP_WATCHES_READ_FIRST
            d_step {
                for (i : 0 .. WATCHES - 1) { if :: IN_TABLE(i) -> listed = listed | BIT(i); listed_steps[i] = seq[OBJECT(i)] :: else fi }
                i = 0
            }
        };
        atomic {
#endif
            d_step {
                for (i : 0 .. REGIONS - 1) {
                    if :: has_row[i] && owner[i] == me -> now[i] = changes[i] :: else -> now[i] = NONE fi
                }
                i = 0
            }
        };
        atomic {
            d_step {
                for (i : 0 .. WATCHES - 1) {
                    if
                    :: now[REGION(i)] != NONE && now[REGION(i)] != had[REGION(i)] ->
                        read = read | BIT(REGION(i));
#ifndef TRAP_WATCHES_READ_FIRST
                        if :: IN_TABLE(i) -> listed = listed | BIT(i); listed_steps[i] = seq[OBJECT(i)] :: else fi
#endif
                    :: else
                    fi
                }
                for (i : 0 .. REGIONS - 1) {
                    if :: now[i] != NONE -> had[i] = now[i] :: else fi;
                    now[i] = NONE
                }
                i = 0; must_read = 0
            };
            goto reporting
        };

        /* The reports. */
reporting:
        atomic { d_step {
#ifdef TRAP_READ_WATCHES_REPORTED_FIRST
            report_polls(); report_request();
#else
            report_request(); report_polls();
#endif
#ifdef TRAP_FLAG_CLEARED_AFTER_THE_READING
            has_watch_change[b] = 0;
#endif
            w = NONE; result = 0
        }; goto end }

    /* The lease finds out. */
    :: atomic { !registered[me] -> goto expelled }
    :: atomic { faults > 0 -> faults--; goto killed }
    od;

killed:
expelled:
    atomic {
        d_step {
            ended[me] = 1;
            for (i : 0 .. WATCHES - 1) {
                steps[i] = 0; listed_steps[i] = 0
            }
            if
            :: begins && !(begun & BIT(w)) -> taken = taken & ~BIT(w)
            :: else
            fi;
            i = 0; known[b] = 0; must_take = 1; must_read = 1; had[0] = NONE; had[1] = NONE; begins = 0; storing = 0; w = NONE;
            result = 0; lost = 0; lost_regions = 0; read = 0; listed = 0; now[0] = NONE; now[1] = NONE; first = NONE; second = NONE; watched = 0;
            is_poller = 0; replaced = NONE;
            run_count++; me = run_count; run_of[b] = me; registered[me] = 1;
            has_change[b] = 0; has_watch_change[b] = 0; sum[b] = 0
        };
        goto end
    }
}

/*
 * The lease of a bridge. It sees that others have counted changes of the regions that its run polls, and expels runs that are
 * gone, or, as often as FAULTS allows, a living one, which is then one that was paused or cut off past its lease.
 */
#define CHANGES(r, b) (has_row[r] && owner[r] == run_of[b] -> changes[r] : 0)
#define SUM(b) (CHANGES(0, b) + CHANGES(1, b))
#define MAY_EXPEL(r) (registered[r] && run_of[b] != (r) && (ended[r] || faults > 0) && !guarded[r] && !expelling[r])

proctype Lease(byte b) {
    byte r = 0;
end:
    do
    :: atomic { SUM(b) != sum[b] -> sum[b] = SUM(b); has_watch_change[b] = 1 }
    :: atomic {
        if
        :: MAY_EXPEL(1) -> r = 1
        :: MAY_EXPEL(2) -> r = 2
#if RUNS > 2
        :: MAY_EXPEL(3) -> r = 3
#endif
#if RUNS > 3
        :: MAY_EXPEL(4) -> r = 4
#endif
#if RUNS > 4
        :: MAY_EXPEL(5) -> r = 5
#endif
        fi;
        expelling[r] = 1;
        if
        :: ended[r]
        :: else -> faults--
        fi
       };
        atomic { d_step {
            registered[r] = 0; expelling[r] = 0; r = 0;
            for (i : 0 .. BRIDGES - 1) { has_change[i] = 1 }
            i = 0
        } }
    od
}

/* When nothing can move any more. */
proctype End() {
    timeout;
    d_step {
        PROMISE(POLLED, begun == BIT(WATCHES) - 1);
        for (i : 0 .. OBJECTS - 1) { PROMISE(POLLED, row[i] == NONE) }
        for (i : 0 .. BRIDGES - 1) { PROMISE(LEFT, known[i] == 0) }
    }
}

init {
    atomic {
        d_step {
            for (i : 0 .. BRIDGES - 1) { run_of[i] = i + 1; registered[i + 1] = 1 }
            i = 0; run_count = BRIDGES
        }
        run Bridge(0); run Lease(0); run Bridge(1); run Lease(1);
#if BRIDGES > 2
        run Bridge(2); run Lease(2);
#endif
        run End()
    }
}
