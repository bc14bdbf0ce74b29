/*
 * ownership - who holds a command when several bridges share one ledger on PostgreSQL.
 *
 * The model has what decides about ownership and nothing else: rows with their locks, what a statement sees (read committed),
 * transactions that end unknown to the client, runs that are killed, paused or expelled. README.md has the SQL statement
 * of each step. An atomic block lets others act only where it waits, as a statement that waits for a lock does.
 *
 * -DBRIDGES=n -DFAULTS=n   bridges; how many of: a kill, an expulsion of a living run (a pause past its lease), a cut connection
 * -DEXPIRIES=n -DPAUSES=n  how many waiting commands reach their deadline; how many calls end in a pause before the next
 * -DTRAP_NAME              puts one known mistake into the protocol
 */
#ifndef BRIDGES
#define BRIDGES 2
#endif
#ifndef FAULTS
#define FAULTS 1
#endif
#ifndef EXPIRIES
#define EXPIRIES 1
#endif
#ifndef PAUSES
#define PAUSES 0
#endif

#define TOKENS 3 /* tokens 0 and 1 are of group 0, token 2 is of group 1 */
#define GROUP(t) ((t) / 2)
#ifndef FIRST_DELIVERIES
#define FIRST_DELIVERIES 4 /* token 0 twice, 1 and 2 once */
#endif
#define DELIVERIES (FIRST_DELIVERIES + FAULTS) /* each fault makes the broker deliver at most one again */
#define RUNS (BRIDGES + FAULTS)

#define NOBODY 255
#define BIT(n) (1 << (n))

/* States of a row */
#define NONE 0
#define LINE 1
#define READY 2
#define CALLING 3
#define UNSURE 4
#define DONE 5

/* States of a delivery */
#define ABSENT 0
#define QUEUED 1
#define TAKEN 2
#define ACKNOWLEDGED 3
#define GIVEN_BACK 4

/* The rows as they are committed. A row is its group's head where `owner` is a run. */
byte state[TOKENS], owner[TOKENS], claim[TOKENS]; /* claim: delivery + 1; stands for (claimed_by, seq) and the first asker */
bit has_waiters[TOKENS];
/* Row locks, and what the holder's transaction has written: there is one such version, because writers exclude each other. */
byte lock[TOKENS];
bit written[TOKENS];
byte new_state[TOKENS], new_owner[TOKENS], new_claim[TOKENS];
bit new_has_waiters[TOKENS];

/* The table of runs: registered; its row locked FOR KEY SHARE by the run's own transaction, or for DELETE by another's. */
bit registered[RUNS + 1], guarded[RUNS + 1], expelling[RUNS + 1];
bit stands[RUNS + 1]; /* table step: the run's last transaction, as it counts them, is committed */
bit ended[RUNS + 1]; /* the process is gone: only used to let anybody expel it */

byte waits_for[DELIVERIES]; /* table waiter: token + 1 */
byte outbox[DELIVERIES];    /* table outbox: the run whose message answers this delivery */
byte answers[DELIVERIES];   /* messages ever committed for this delivery */

byte delivery[DELIVERIES], token_of[DELIVERIES];
byte delivery_count = FIRST_DELIVERIES, run_count = BRIDGES;
byte faults = FAULTS, expiries = EXPIRIES, pauses = PAUSES;
byte run_of[BRIDGES];

byte i, j; /* only inside d_step */

/* The properties; -DPROPERTY=n checks one of them. */
#ifdef PROPERTY
#define PROMISE(n, condition) assert((n) != PROPERTY || (condition))
#else
#define PROMISE(n, condition) assert(condition)
#endif
#define ONE_HEAD 1       /* one head a group: no update meets another head in the unique index */
#define ANSWERED_ONCE 2  /* no delivery has two answers, and at the end each acknowledged one has one */
#define NOTHING_LEFT 3   /* at the end each row is done, nothing waits, no message is a dead run's */
#define NO_STALE_WRITE 4 /* no transaction with a write commits when its run is expelled */
#define NEVER_STOLEN 5   /* a registered run finds what it holds */
#define ROWS_READ 6      /* a look-up by token reads one row, an adoption the heads */

#define HEAD_COMMITTED(g) \
    ((GROUP(0) == (g) && owner[0] != 0) || (GROUP(1) == (g) && owner[1] != 0) || (GROUP(2) == (g) && owner[2] != 0))
#define HEADS ((owner[0] != 0) + (owner[1] != 0) + (owner[2] != 0))
#define CHANGES_HEAD(t, g, c) (GROUP(t) == (g) && written[t] && lock[t] != (c) && (owner[t] != 0 || new_owner[t] != 0))
#define HEAD_CHANGES(g, c) (CHANGES_HEAD(0, g, c) || CHANGES_HEAD(1, g, c) || CHANGES_HEAD(2, g, c))
#define FREE(t, c) (lock[t] == 0 || lock[t] == (c))
#define DEAD_OWNER(t) (owner[t] != 0 && !registered[owner[t]])
#define ADOPTABLE(t) (DEAD_OWNER(t) && lock[t] == 0)
#define ORPHAN(d) (outbox[d] != 0 && !registered[outbox[d]])
#ifdef BATCHES
#define BESIDE true /* a finish or a move may stand in the same batch as a claim */
#else
#define BESIDE (current == 0 || meets)
#endif
#define QUEUED_AT(d) (delivery[d] == QUEUED)
#if DELIVERIES == 4
#define ANY_ORPHAN (ORPHAN(0) || ORPHAN(1) || ORPHAN(2) || ORPHAN(3))
#define ANY_QUEUED (QUEUED_AT(0) || QUEUED_AT(1) || QUEUED_AT(2) || QUEUED_AT(3))
#elif DELIVERIES == 5
#define ANY_ORPHAN (ORPHAN(0) || ORPHAN(1) || ORPHAN(2) || ORPHAN(3) || ORPHAN(4))
#define ANY_QUEUED (QUEUED_AT(0) || QUEUED_AT(1) || QUEUED_AT(2) || QUEUED_AT(3) || QUEUED_AT(4))
#else
#define ANY_ORPHAN (ORPHAN(0) || ORPHAN(1) || ORPHAN(2) || ORPHAN(3) || ORPHAN(4) || ORPHAN(5))
#define ANY_QUEUED (QUEUED_AT(0) || QUEUED_AT(1) || QUEUED_AT(2) || QUEUED_AT(3) || QUEUED_AT(4) || QUEUED_AT(5))
#endif

inline write(t, c, s, o, a, w) {
    lock[t] = c; written[t] = 1; new_state[t] = s; new_owner[t] = o; new_claim[t] = a; new_has_waiters[t] = w
}

inline unlock_all(c) {
    for (i : 0 .. TOKENS - 1) {
        if
        :: lock[i] == c ->
            lock[i] = 0; written[i] = 0; new_state[i] = 0; new_owner[i] = 0; new_claim[i] = 0; new_has_waiters[i] = 0
        :: else
        fi
    }
    i = 0
}

inline answer(d) {
    outbox[d] = me; answers[d]++;
    PROMISE(ANSWERED_ONCE, answers[d] <= 1)
}

/* COMMIT. `told`: the deliveries that are answered beside the one that made the row; `join`: the delivery + 1 that joins. */
inline commit_rows(c, told, join, replay) {
    for (i : 0 .. TOKENS - 1) {
        if
        :: lock[i] == c && written[i] ->
            PROMISE(NO_STALE_WRITE, registered[me]);
            if
            :: new_state[i] == DONE && state[i] != DONE -> answer(new_claim[i] - 1)
            :: else
            fi;
            PROMISE(ONE_HEAD, !(new_state[i] == DONE && new_owner[i] != 0));
            state[i] = new_state[i]; owner[i] = new_owner[i]; claim[i] = new_claim[i]; has_waiters[i] = new_has_waiters[i]
        :: else
        fi
    }
    for (j : 0 .. DELIVERIES - 1) {
        if
        :: told & BIT(j) -> waits_for[j] = 0; answer(j)
        :: else
        fi
    }
    j = 0;
    if
    :: join != 0 -> waits_for[join - 1] = token_of[join - 1] + 1
    :: else
    fi;
    if
    :: replay != 0 -> answer(replay - 1)
    :: else
    fi;
    unlock_all(c);
    guarded[me] = 0; stands[me] = 1
}

inline rollback_rows(c) { unlock_all(c); guarded[me] = 0 }

/* The first statements of every transaction: the guard, which waits where the row is being deleted, and its new number. */
#ifdef TRAP_GUARD_WITHOUT_LOCK
#define GUARD if :: registered[me] -> stands[me] = 0 :: else -> goto expelled fi
#else
#define GUARD !expelling[me]; if :: registered[me] -> guarded[me] = 1; stands[me] = 0 :: else -> goto expelled fi
#endif

/* How a transaction ends for the client. The server has a pipelined one whole, so it ends it without the client. */
#define KNOWN 0
#define UNKNOWN 1
#define KILLED 2
#define AGAIN 3
inline end_transaction(told, join, replay) {
    if
    :: d_step { result = KNOWN; commit_rows(c, told, join, replay) }
    :: d_step { faults > 0 -> faults--; result = UNKNOWN; commit_rows(c, told, join, replay) }
    :: d_step { faults > 0 -> faults--; result = UNKNOWN; rollback_rows(c) }
    :: d_step { faults > 0 -> faults--; result = KILLED; commit_rows(c, told, join, replay) }
    :: d_step { faults > 0 -> faults--; result = KILLED; rollback_rows(c) }
    fi
}

/* After a lost connection: wait for the end of the old transaction, then read whether it stands, and which heads are ours. */
inline reconnect() {
    result = KNOWN;
    !expelling[me];
    if
    :: registered[me]
    :: else -> goto expelled
    fi;
#ifdef TRAP_STEP_NOT_READ
    stands[me] = 0;
#endif
#ifndef TRAP_RESENT_PROMOTE_FORGOTTEN
    d_step {
        held = 0;
        for (i : 0 .. TOKENS - 1) {
            if
            :: owner[i] == me -> held = held | BIT(i)
            :: else
            fi
        }
        i = 0
    }
#endif
}

/* The next of a group: what the statement's snapshot shows, and the update when the row's lock is free. */
inline promote(g) {
    d_step {
        next = NOBODY; other = NOBODY;
        for (i : 0 .. TOKENS - 1) {
            if
            :: GROUP(i) == g && lock[i] == c && written[i] && new_owner[i] != 0 -> other = i
            :: GROUP(i) == g && !(lock[i] == c && written[i]) && owner[i] != 0 -> other = i
            :: GROUP(i) == g && !(lock[i] == c && written[i]) && state[i] == LINE -> next = i
            :: else
            fi
        }
        i = 0;
        if
        :: other != NOBODY -> next = NOBODY
        :: else
        fi;
        other = NOBODY
    }
    if
    :: next != NOBODY ->
        FREE(next, c) && !HEAD_CHANGES(g, c);
        d_step {
            if
            :: owner[next] == 0 -> /* the condition that is checked again on the newest version */
                write(next, c, (state[next] == LINE -> READY : state[next]), me, claim[next], has_waiters[next]);
                promoted = promoted | BIT(next)
            :: else
            fi;
            next = NOBODY
        }
    :: else
    fi
}

inline read_waiters(t) {
    d_step {
        told = 0;
        for (i : 0 .. DELIVERIES - 1) {
            if
            :: waits_for[i] == t + 1 -> told = told | BIT(i)
            :: else
            fi
        }
        i = 0
    }
}

/* The head of a group: what the snapshot shows; then its lock, and the condition again on the newest version. */
inline lock_head(g) {
    d_step {
        head = NOBODY;
        for (i : 0 .. TOKENS - 1) {
            if
            :: GROUP(i) == g && owner[i] != 0 -> head = i
            :: else
            fi
        }
        i = 0
    }
#ifndef TRAP_HEAD_NOT_LOCKED
    if
    :: head != NOBODY ->
        FREE(head, c);
        if
        :: owner[head] != 0 -> lock[head] = c
        :: else -> head = NOBODY
        fi
    :: else
    fi
#endif
}

inline lock_row(t) {
    if
    :: state[t] != NONE -> FREE(t, c); lock[t] = c
    :: else
    fi
}

inline acknowledge() {
#ifndef TRAP_ACKNOWLEDGED_BEFORE_COMMIT
    delivery[current - 1] = ACKNOWLEDGED;
#endif
    current = 0; meets = 0
}

/*
 * An atomic block yields to others where it waits. The statements of T1 and T3 come in one pipeline: without FINE others come
 * between two of them only where one waits.
 */
#ifdef FINE
#define PIPELINE {
#else
#define PIPELINE atomic {
#endif

/* One that the bridge holds: finish its call, or begin or pause it. */
#define NEXT_STEP_OF(t) \
    (held & ~slow & BIT(t)) && BESIDE -> \
    if \
    :: state[t] == CALLING -> finish = t \
    :: state[t] != CALLING || pauses > 0 -> move = t \
    fi

proctype Bridge(byte b) {
    byte me = b + 1, c = b + 1;
    byte current = 0;          /* the delivery + 1 that was taken and is not acknowledged */
    byte held = 0;             /* the heads that the run knows as its own */
    byte slow = 0;             /* those whose fast finish met waiters */
    byte finish = NOBODY, move = NOBODY, next = NOBODY, other = NOBODY, head = NOBODY, t = 0;
    byte promoted = 0, told = 0, result = 0, seen = 0, dead = 0;
    bit claimed = 0, meets = 0; /* meets: the claim met its token or a busy group */

end:
    do
    /* T1: a claim, a finish or a move; with BATCHES a claim together with one of the others */
    :: PIPELINE
        atomic { (current == 0 && ANY_QUEUED) || (current != 0 && !meets) || (held & ~slow) != 0 ->
        if
        :: current == 0 && ANY_QUEUED ->
            if
            :: delivery[0] == QUEUED -> current = 1
            :: delivery[1] == QUEUED -> current = 2
            :: delivery[2] == QUEUED -> current = 3
            :: delivery[3] == QUEUED -> current = 4
#if DELIVERIES > 4
            :: delivery[4] == QUEUED -> current = 5
#endif
#if DELIVERIES > 5
            :: delivery[5] == QUEUED -> current = 6
#endif
            fi;
#ifdef TRAP_ACKNOWLEDGED_BEFORE_COMMIT
            delivery[current - 1] = ACKNOWLEDGED
#else
            delivery[current - 1] = TAKEN
#endif
        :: current != 0 && !meets
        :: (held & ~slow) != 0
        fi };
batch:
        atomic { GUARD;
        if
        :: finish != NOBODY || move != NOBODY /* sent again */
        :: finish == NOBODY && move == NOBODY && current != 0 && !meets
        :: finish == NOBODY && move == NOBODY && NEXT_STEP_OF(0)
        :: finish == NOBODY && move == NOBODY && NEXT_STEP_OF(1)
        :: finish == NOBODY && move == NOBODY && NEXT_STEP_OF(2)
        fi };
        if
        :: atomic { current != 0 && !meets ->
            t = token_of[current - 1];
            !(written[t] && lock[t] != c) && (state[t] != NONE || !HEAD_CHANGES(GROUP(t), c));
            if
            :: state[t] == NONE && !HEAD_COMMITTED(GROUP(t)) -> d_step { write(t, c, CALLING, me, current, 0); claimed = 1 }
            :: else
            fi;
            t = 0 }
        :: else
        fi;
        if
        :: atomic { finish != NOBODY ->
#ifdef TRAP_PREDICATE_OF_PARTIAL_INDEX
            /* owner = $2 implies owner IS NOT NULL: the planner may take the index of all heads */
            if :: PROMISE(ROWS_READ, HEADS <= 1) :: skip fi;
#endif
            FREE(finish, c);
            if
            :: owner[finish] == me && !has_waiters[finish] -> d_step { write(finish, c, DONE, 0, claim[finish], 0) }
            :: else -> slow = slow | BIT(finish)
            fi };
            atomic { promote(GROUP(finish)) }
        :: atomic { move != NOBODY ->
            FREE(move, c);
            PROMISE(NEVER_STOLEN, owner[move] == me);
            if
            :: owner[move] == me && state[move] == CALLING && pauses > 0 ->
                pauses--; d_step { write(move, c, READY, me, claim[move], has_waiters[move]) }
            :: owner[move] == me && state[move] != CALLING -> d_step { write(move, c, CALLING, me, claim[move], has_waiters[move]) }
            :: else
            fi }
        :: else
        fi;
        atomic { end_transaction(0, 0, 0);
        if
        :: result == KNOWN ->
            d_step {
                held = held | promoted;
                if
                :: current != 0 && !meets && claimed -> held = held | BIT(token_of[current - 1]); acknowledge()
                :: current != 0 && !meets && !claimed -> meets = 1
                :: else
                fi;
                if
                :: finish != NOBODY && !(slow & BIT(finish)) -> held = held & ~BIT(finish)
                :: else
                fi;
                finish = NOBODY; move = NOBODY; promoted = 0; claimed = 0
            }
        :: result == UNKNOWN ->
            d_step {
                promoted = 0; claimed = 0;
                if
                :: finish != NOBODY -> slow = slow & ~BIT(finish)
                :: else
                fi
            };
            goto lost_batch
        :: result == KILLED -> goto killed
        fi }
       }

    /* T2: the claim that met something. The head is locked first, then the token's row. */
    :: atomic {
        current != 0 && meets -> GUARD; t = token_of[current - 1];
#ifdef TRAP_ROW_BEFORE_HEAD
        lock_row(t)
#else
        lock_head(GROUP(t))
#endif
       };
        atomic {
#ifdef TRAP_ROW_BEFORE_HEAD
            lock_head(GROUP(t));
#else
            lock_row(t);
#endif
            seen = (lock[t] == c -> state[t] : NONE)
        };
        /* The client's turn, with the locks held. */
        atomic {
            if
            :: skip
            :: faults > 0 -> faults--; /* killed, or paused until the server ends the idle transaction */
#ifdef TRAP_NO_IDLE_TIMEOUT
                goto vanished
#else
                d_step { rollback_rows(c) }; goto killed
#endif
            fi;
            if
#ifndef TRAP_RESENT_CLAIM_NOT_RECOGNISED
            :: seen != NONE && claim[t] == current -> d_step { rollback_rows(c); acknowledge() }
#endif
            :: else ->
                if
                :: seen == NONE && head == NOBODY -> d_step { rollback_rows(c); meets = 0 }
                :: seen == NONE && head != NOBODY ->
                    !(written[t] && lock[t] != c);
                    if
                    :: state[t] == NONE -> d_step { write(t, c, LINE, 0, current, 0) }; end_transaction(0, 0, 0)
                    :: else -> d_step { rollback_rows(c); result = AGAIN }
                    fi
                :: seen == DONE -> end_transaction(0, 0, current)
                :: seen != NONE && seen != DONE && head == NOBODY ->
                    d_step { rollback_rows(c); result = AGAIN };
                    HEAD_COMMITTED(GROUP(t)) || state[t] == DONE /* again at once; the model waits for what it needs */
                :: seen != NONE && seen != DONE && head != NOBODY ->
                    d_step { write(t, c, seen, owner[t], claim[t], 1) }; end_transaction(0, current, 0)
                fi;
                if
                :: result == KNOWN && meets -> acknowledge()
                :: result == KNOWN && !meets
                :: result == UNKNOWN
                :: result == AGAIN -> result = KNOWN
                :: result == KILLED -> goto killed
                fi
            fi;
            d_step { t = 0; seen = 0; head = NOBODY };
            if
            :: result == UNKNOWN -> goto lost_claim
            :: else
            fi
        }

    /* T3: a finish that met waiters, or one that was sent again */
    :: PIPELINE
        atomic { slow != 0 ->
        if
        :: slow & BIT(0) -> finish = 0
        :: slow & BIT(1) -> finish = 1
        :: slow & BIT(2) -> finish = 2
        fi;
#ifdef TRAP_WAITERS_IN_THE_SAME_STATEMENT
        read_waiters(finish);
#endif
        GUARD };
        atomic { FREE(finish, c);
        if
        :: owner[finish] == me -> d_step { write(finish, c, DONE, 0, claim[finish], 0); claimed = 1 }
        :: else -> /* its own answer stands in the outbox: a batch was committed whose answers were lost */
            PROMISE(NEVER_STOLEN, state[finish] == DONE && outbox[claim[finish] - 1] == me);
            told = 0
        fi };
        if
        :: claimed ->
            atomic {
            /* a statement of its own: it sees who joined while the update waited */
#ifndef TRAP_WAITERS_IN_THE_SAME_STATEMENT
            read_waiters(finish);
#endif
            skip };
            atomic { promote(GROUP(finish)) }
        :: else
        fi;
        atomic { claimed = 0; end_transaction(told, 0, 0);
        if
        :: result == KNOWN -> d_step { held = (held | promoted) & ~BIT(finish); slow = slow & ~BIT(finish); promoted = 0; told = 0; finish = NOBODY }
        :: result == UNKNOWN -> d_step { promoted = 0; told = 0 }; goto lost_finish
        :: result == KILLED -> goto killed
        fi }
       }

    /* The sweep: a waiting command has reached its deadline. As T2, it locks the head first. */
    :: atomic {
        expiries > 0 && (state[0] == LINE || state[1] == LINE) -> GUARD; expiries--;
        if :: state[0] == LINE -> t = 0 :: state[1] == LINE -> t = 1 fi;
#ifndef TRAP_SWEEP_WITHOUT_HEAD
        lock_head(GROUP(t))
#else
        head = t
#endif
       };
        atomic {
            if
            :: head != NOBODY -> lock_row(t)
            :: else
            fi
        };
        atomic {
            if
            :: head != NOBODY && state[t] == LINE ->
                d_step { write(t, c, DONE, 0, claim[t], 0) };
                read_waiters(t);
                end_transaction(told, 0, 0)
            :: else -> d_step { rollback_rows(c) }
            fi;
            d_step { t = 0; head = NOBODY; told = 0 };
            if
            :: result == KNOWN
            :: result == UNKNOWN -> goto lost_connection
            :: result == KILLED -> goto killed
            fi
        }

    /* Adoption: the dead owners are read first; then what is checked again is a condition on the row alone. */
    :: atomic {
        ADOPTABLE(0) || ADOPTABLE(1) || ADOPTABLE(2) || ANY_ORPHAN -> GUARD;
        d_step {
            dead = 0; seen = 0;
            for (i : 1 .. RUNS) {
                if :: !registered[i] && i <= run_count -> dead = dead | BIT(i) :: else fi
            }
            for (i : 0 .. TOKENS - 1) {
                if :: DEAD_OWNER(i) -> seen = seen | BIT(i) :: else fi
            }
            i = 0
        }
       };
        atomic {
            d_step {
#ifdef TRAP_ADOPT_BY_TOKEN_ORDER
                PROMISE(ROWS_READ, (state[0] != NONE) + (state[1] != NONE) + (state[2] != NONE) <= HEADS);
#endif
                for (i : 0 .. TOKENS - 1) {
                    if
#ifdef TRAP_ADOPT_ANTI_JOIN
                    :: (seen & BIT(i)) && lock[i] == 0 && owner[i] != 0 ->
#else
                    :: lock[i] == 0 && owner[i] != 0 && (dead & BIT(owner[i])) ->
#endif
                        PROMISE(NEVER_STOLEN, !registered[owner[i]]);
                        PROMISE(NOTHING_LEFT, state[i] != CALLING);
                        write(i, c, state[i], me, claim[i], has_waiters[i]);
                        promoted = promoted | BIT(i)
                    :: else
                    fi
                }
                for (i : 0 .. DELIVERIES - 1) { /* taken and committed in one step: others skip what is locked */
                    if :: outbox[i] != 0 && (dead & BIT(outbox[i])) -> outbox[i] = me :: else fi
                }
                i = 0; dead = 0; seen = 0
            };
            end_transaction(0, 0, 0);
            if
            :: result == KNOWN -> held = held | promoted; promoted = 0
            :: result == UNKNOWN -> promoted = 0; goto lost_connection
            :: result == KILLED -> goto killed
            fi
        }

    :: d_step { faults > 0 -> faults-- }; goto killed
    od;

lost_batch: /* if it stands, its claim and its finish are looked up, because their results are lost; else it is sent again */
    atomic {
        reconnect();
        if
        :: stands[me] ->
            d_step {
                if
                :: current != 0 -> meets = 1
                :: else
                fi;
                if
                :: finish != NOBODY -> slow = slow | BIT(finish)
                :: else
                fi;
                finish = NOBODY; move = NOBODY
            };
            goto end
        :: else -> move = NOBODY; goto batch /* a move is chosen again */
        fi
    };
lost_claim:
    atomic {
        reconnect();
        if
        :: stands[me] -> acknowledge()
        :: else
        fi;
        goto end
    };
lost_finish:
    atomic {
        reconnect();
        if
        :: stands[me] -> slow = slow & ~BIT(finish)
        :: else
        fi;
        finish = NOBODY;
        goto end
    };
lost_connection: /* what the sweep and the adoption do is chosen again from what the run knows */
    atomic { reconnect(); goto end };

    /* The process is gone: the broker delivers again, and a new run begins under an id of its own. */
killed:
expelled:
    atomic {
        ended[me] = 1;
        if
        :: current != 0 && delivery[current - 1] == TAKEN ->
            delivery[current - 1] = GIVEN_BACK;
            delivery[delivery_count] = QUEUED; token_of[delivery_count] = token_of[current - 1];
            delivery_count++
        :: else
        fi;
        d_step {
            current = 0; held = 0; slow = 0; finish = NOBODY; move = NOBODY; next = NOBODY; head = NOBODY; t = 0;
            promoted = 0; told = 0; result = KNOWN; seen = 0; dead = 0; claimed = 0; meets = 0
        };
#ifdef TRAP_RUN_ID_USED_AGAIN
        if :: registered[me] -> ended[me] = 0; goto end :: else fi;
#endif
        run_count++; me = run_count; run_of[b] = me; registered[me] = 1;
        goto end
    };
#ifdef TRAP_NO_IDLE_TIMEOUT
    /* The host is gone without a word, and the server keeps its transaction. */
vanished:
    atomic {
        ended[me] = 1; delivery[current - 1] = GIVEN_BACK;
        delivery[delivery_count] = QUEUED; token_of[delivery_count] = token_of[current - 1];
        delivery_count++
    };
    false
#endif
}

/*
 * The lease connection of a bridge. It expels runs whose heartbeat stands still: those that ended, and, as often as FAULTS
 * allows, a living one, which is then one that was paused or cut off past its lease.
 */
#define MAY_EXPEL(r) (registered[r] && run_of[b] != (r) && (ended[r] || faults > 0) && !guarded[r] && !expelling[r])

proctype Lease(byte b) {
    byte r = 0, c = BRIDGES + b + 1, t = 0;
end:
    do
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
        /* the DELETE has the row's lock */
        expelling[r] = 1;
        if
        :: ended[r]
        :: else -> faults--
        fi;
        /* its calls become unsure, in order of the tokens */
        do
        :: t < TOKENS && owner[t] == r && state[t] == CALLING -> lock[t] == 0; d_step { write(t, c, UNSURE, r, claim[t], has_waiters[t]); t++ }
        :: t < TOKENS && !(owner[t] == r && state[t] == CALLING) -> t++
        :: t == TOKENS -> break
        od;
        t = 0;
        d_step {
            for (i : 0 .. TOKENS - 1) {
                if :: lock[i] == c && written[i] -> state[i] = new_state[i] :: else fi
            }
            unlock_all(c);
            registered[r] = 0; expelling[r] = 0; r = 0
        }
       }
    od
}

/* When nothing can move any more, everything must be answered. */
proctype End() {
    timeout;
    d_step {
        for (i : 0 .. TOKENS - 1) {
            PROMISE(NOTHING_LEFT, state[i] == DONE && owner[i] == 0)
        }
        for (i : 0 .. DELIVERIES - 1) {
            PROMISE(NOTHING_LEFT, delivery[i] != QUEUED && delivery[i] != TAKEN && waits_for[i] == 0);
            PROMISE(NOTHING_LEFT, outbox[i] == 0 || registered[outbox[i]]);
            PROMISE(ANSWERED_ONCE, delivery[i] != ACKNOWLEDGED || answers[i] == 1)
        }
    }
}

init {
    atomic {
        d_step {
            for (i : 0 .. FIRST_DELIVERIES - 1) { delivery[i] = QUEUED }
            token_of[0] = 0; token_of[1] = 0; token_of[2] = 1; token_of[3] = 2;
            for (i : 0 .. BRIDGES - 1) { run_of[i] = i + 1; registered[i + 1] = 1 }
            i = 0
        }
        for (j : 0 .. BRIDGES - 1) { run Bridge(j); run Lease(j) }
        j = 0;
        run End()
    }
}
