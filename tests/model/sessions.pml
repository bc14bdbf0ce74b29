/*
 * sessions - who uses the session that the broker keeps for a bridge which shares its ledger with others.
 *
 * Bridge 0 has the session. It is away at first, comes back, stops, comes back again. The others, the adopters, drain the session
 * while bridge 0 has no run, one of them at a time: the one whose run is in the row `adopter` of the ledger. README.md has the
 * statement of each step. What the loop of a bridge does in one callback is one atomic block, and so is what one statement does;
 * a block lets others act where it waits.
 *
 * -DBRIDGES=n -DFAULTS=n  bridges; how many of: a kill, a pause, a lease that ends, a lost connection, an expulsion rolled back
 * -DTRAP_NAME             puts one known mistake into the protocol
 */
#ifndef BRIDGES
#define BRIDGES 2
#endif
#ifndef FAULTS
#define FAULTS 1
#endif
#ifndef RETURNS
#define RETURNS 2 /* of bridge 0 */
#endif

#define OWNER 0
#define RUNS (BRIDGES + RETURNS + FAULTS)
#define BIT(n) (1 << (n))

/* The ledger, as it is committed. */
bit registered[RUNS + 1];
byte owner_run;      /* the registered run of bridge 0; 0: none */
byte adopter;        /* the row: the run that has the lease on the session; 0: no row */
bit is_listed = 1;   /* the rows that say that bridge 0 has a session */
/* Locks: of a run's row, for KEY SHARE by its own statements and for DELETE by another's; of the row `adopter`. */
bit guarded[RUNS + 1], expelling[RUNS + 1];
bit adopter_lock;

/* The broker. */
bit exists = 1;      /* it keeps the session */
bit has_mail = 1;    /* a command waits in it */
bit using[BRIDGES];  /* a process of this bridge is connected with the client id, or tries to be */
bit refuses;         /* it lets only bridge 0 use that client id */

/* The processes. */
byte run_of[BRIDGES];
bit paused[BRIDGES]; /* or, of bridge 0, cut off from the ledger: it does not see that it is expelled */
bit lapsed[BRIDGES]; /* its lease on the ledger is not valid: it may be expelled */
bit ended[RUNS + 1]; /* the process of this run is gone */
bit owner_waits;     /* bridge 0 has started and waits until the row is gone */
byte lease_for[BRIDGES]; /* the statement that asks for the row is under way, for this run */
byte bridge_of[RUNS + 1];
byte run_count, faults = FAULTS, returns = RETURNS;
byte idle_asks = 1;  /* questions that are asked without need: the others would never end */

byte i;              /* only inside d_step */

#ifdef PROPERTY
#define PROMISE(n, condition) assert((n) != PROPERTY || (condition))
#else
#define PROMISE(n, condition) assert(condition)
#endif
#define ONE_USER 1       /* the client id is used by one process, but for one that is paused */
#define NOBODY_WAITS 2   /* when nothing can move any more: bridge 0 has its session if it runs; else it is drained */
#define SESSION_LISTED 3 /* a session that the broker keeps is listed */

inline connect(b) {
    d_step {
        using[b] = 1; exists = 1;
        for (i : 0 .. BRIDGES - 1) {
            PROMISE(ONE_USER, i == b || !using[i] || paused[i])
        }
        PROMISE(SESSION_LISTED, is_listed);
        i = 0
    }
}

/* The guard of a transaction. */
#define GUARD !expelling[me]; if :: registered[me] -> guarded[me] = 1 :: else -> goto expelled fi

/* Its end: the pipeline is whole at the server, so it is committed or not, whatever becomes of the client. */
#define COMMITTED 0
#define AGAIN 1
#define KILLED 2
inline commit(is_release) {
    if
    :: is_release -> adopter = 0
    :: else -> is_listed = 0; PROMISE(SESSION_LISTED, !exists)
    fi
}

inline end_transaction(is_release) {
    if
    :: d_step { result = COMMITTED; commit(is_release); guarded[me] = 0 }
    :: d_step { faults > 0 -> faults--; result = KILLED; commit(is_release); guarded[me] = 0 }
    :: d_step { faults > 0 -> faults--; result = KILLED; guarded[me] = 0 }
    :: d_step { faults > 0 -> faults--; result = AGAIN; guarded[me] = 0 }
#ifdef TRAP_RELEASE_SENT_AGAIN
    /* the connection is lost, and the number of the transaction is not read */
    :: d_step { faults > 0 -> faults--; result = AGAIN; commit(is_release); guarded[me] = 0 }
#endif
    fi
}

/* A new run of the bridge; the row of the earlier one goes, with its leases, in the same transaction. */
inline register(b) {
    do
    :: me != 0 && registered[me] ->
        !guarded[me] && !expelling[me] && !(adopter == me && adopter_lock);
        if
        :: registered[me] ->
            registered[me] = 0;
            if :: adopter == me -> adopter = 0 :: else fi;
            break
        :: else
        fi
    :: else -> break
    od;
    run_count++; me = run_count; run_of[b] = me; bridge_of[me] = b; registered[me] = 1;
    if :: b == OWNER -> owner_run = me :: else fi
}

/* ---- bridge 0 ---- */

proctype Owner() {
    byte me = 0;
end_away:
    atomic {
        returns > 0 -> returns--;
#ifdef TRAP_ROW_READ_BEFORE_REGISTERING
        adopter == 0;
    };
    atomic {
#endif
        goto again
    };

again: /* the supervisor has started the process */
    atomic { register(OWNER); owner_waits = 1 };
end_waiting:
    do
    :: atomic {
        !paused[OWNER] && (adopter == 0
#ifdef TRAP_ROW_READ_BEFORE_REGISTERING
        || true
#endif
        ) -> break }
#ifndef TRAP_EXPELLED_ONE_WAITS
    :: atomic { !paused[OWNER] && !registered[me] -> goto expelled }
#endif
#ifdef TRAP_UNREADABLE_ROW_IS_NONE
    :: atomic { !paused[OWNER] && faults > 0 -> faults--; break }
#endif
    :: atomic { !paused[OWNER] && faults > 0 -> faults--; goto killed }
    :: atomic { !paused[OWNER] && faults > 0 -> faults--; paused[OWNER] = 1 }
    :: atomic { paused[OWNER] -> paused[OWNER] = 0 }
    od;
    /* The lease is looked at behind the row. */
    atomic {
        owner_waits = 0;
        if
        :: !registered[me] -> goto expelled
        :: else
        fi;
        GUARD;
        is_listed = 1; guarded[me] = 0;
        connect(OWNER)
    };
end_connected:
    do
    :: atomic { has_mail && !paused[OWNER] -> GUARD; has_mail = 0; guarded[me] = 0 }
    :: atomic { /* an orderly stop */
        returns > 0 && !paused[OWNER] -> using[OWNER] = 0;
        GUARD;
        registered[me] = 0; guarded[me] = 0; owner_run = 0; ended[me] = 1;
        goto end_away }
    :: atomic { !paused[OWNER] && faults > 0 -> faults--; goto killed }
    :: atomic { !paused[OWNER] && faults > 0 -> faults--; paused[OWNER] = 1 }
    :: atomic {
        paused[OWNER] && !expelling[me] -> paused[OWNER] = 0;
        if
        :: !registered[me] -> using[OWNER] = 0; goto expelled
        :: else -> connect(OWNER) /* nobody else may have connected meanwhile */
        fi }
    od;

expelled:
    atomic { using[OWNER] = 0; ended[me] = 1; owner_waits = 0; goto again };
killed:
    atomic {
        using[OWNER] = 0; ended[me] = 1; owner_waits = 0;
        if
        :: goto again
        :: goto end_away
        fi
    }
}

/* ---- the others ---- */

/* What a question would find out. */
#define IS_FREE (adopter == 0 || !registered[adopter])
#ifndef TRAP_ROW_NOT_GIVEN_BACK
#define HAS_IT (adopter == me)
#else
#define HAS_IT false
#endif
#define NEWS \
    ((!have && owner_run == 0 && is_listed && IS_FREE) || (!have && HAS_IT) || (have && !drains) || \
     (drains && !leaves && (owner_run != 0 || adopter != me)))
#define AWAKE (!paused[b])

/* What the loop does first in each callback when the lease is not valid: the process that drains is killed. */
inline let_go() {
    if
    :: drains ->
#ifdef TRAP_KILLED_AFTER_THE_LEASE
        leaves = 1
#else
        using[b] = 0; drains = 0; leaves = 0; is_old = 1; release = 1; have = 0
#endif
    :: else
    fi
}

/* The answers. */
#define NOTHING 0
#define FREE 1
#define OURS 2   /* the session is to be drained */
#define HELD 3   /* this run has the row, but bridge 0 has a run or there is no session */

proctype Adopter(byte b) {
    byte me = 0, result = 0;
    byte asks = 0;   /* 1: for the row, 2: for the list, 3: it is answered */
    byte answer = 0;
    bit have = 0;    /* it has the row, as far as it knows */
    bit drains = 0;  /* a session */
    bit leaves = 0;  /* that session */
    bit is_old = 0;  /* what was asked for has changed since */
    bit forget = 0, release = 0; /* what is to be written: no session is listed any more; the row goes */
    atomic { register(b) };
end:
    do
    /* A question: the row, if it is not known to be there, then the list. */
    :: atomic {
        AWAKE && !lapsed[b] && asks == 0 && lease_for[b] == 0 && !forget && !release && (NEWS || idle_asks > 0) ->
        if :: NEWS :: else -> idle_asks-- fi;
        is_old = 0;
        if
        :: !have -> asks = 1;
#ifndef TRAP_LIST_READ_BEFORE_THE_ROW
            lease_for[b] = me
#endif
        :: have -> asks = 2
        fi }
#ifdef TRAP_LIST_READ_BEFORE_THE_ROW
    :: atomic {
        AWAKE && asks == 1 && lease_for[b] == 0 && answer == NOTHING ->
        answer = (owner_run == 0 && is_listed && IS_FREE -> FREE : HELD);
        lease_for[b] = me }
    :: atomic {
        AWAKE && asks == 1 && lease_for[b] == 0 && answer != NOTHING ->
        answer = (answer == FREE && adopter == me -> OURS : (adopter == me -> HELD : NOTHING));
        asks = 3 }
#else
    :: atomic { AWAKE && asks == 1 && lease_for[b] == 0 -> asks = 2 }
#endif
    :: atomic {
        AWAKE && asks == 2 ->
        if
        :: adopter == me && owner_run == 0 && is_listed -> answer = OURS
#ifndef TRAP_ROW_NOT_GIVEN_BACK
        :: adopter == me && !(owner_run == 0 && is_listed) -> answer = HELD
#endif
        :: else -> answer = NOTHING
        fi;
        asks = 3 }
    /* The answer. */
    :: atomic {
        AWAKE && asks == 3 -> asks = 0;
        if
#ifndef TRAP_OLD_ANSWER
        :: is_old
#endif
#ifndef TRAP_ANSWER_AFTER_THE_LEASE
        :: lapsed[b]
#endif
        :: else ->
            if
            :: answer == OURS || answer == HELD -> have = 1
            :: else
            fi;
            if
            :: have && !drains && answer == OURS -> drains = 1; leaves = 0; connect(b)
            :: have && !drains && answer != OURS -> have = 0; release = 1
            :: drains && answer != OURS && !leaves ->
                leaves = 1;
#ifdef TRAP_ROW_GOES_BEFORE_THE_PROCESS
                release = 1
#endif
            :: else
            fi
        fi;
        answer = NOTHING }

    /* The session. */
    :: atomic { AWAKE && drains && using[b] && !leaves && has_mail && !refuses -> GUARD; has_mail = 0; guarded[me] = 0 }
    :: atomic {
        AWAKE && drains && using[b] && !leaves && !has_mail && !lapsed[b] && !refuses ->
        exists = 0; using[b] = 0; drains = 0; is_old = 1; forget = 1 }
    :: atomic {
        AWAKE && drains && leaves -> using[b] = 0; drains = 0; leaves = 0; is_old = 1; have = 0;
#ifndef TRAP_ROW_GOES_BEFORE_THE_PROCESS
        release = 1
#endif
       }

    /* What it writes. */
    :: atomic {
        AWAKE && forget ->
#ifndef TRAP_WRITES_NOT_GUARDED
        GUARD;
#endif
        end_transaction(0);
        if
        :: result == COMMITTED -> forget = 0
        :: result == AGAIN
        :: result == KILLED -> goto killed
        fi }
    :: atomic {
        AWAKE && release && !forget ->
#ifndef TRAP_WRITES_NOT_GUARDED
        GUARD;
#endif
        !adopter_lock;
        end_transaction(1);
        if
        :: result == COMMITTED -> release = 0
        :: result == AGAIN
        :: result == KILLED -> goto killed
        fi }

    /* The lease on the ledger ends, and is renewed or lost. */
    :: atomic { AWAKE && !lapsed[b] && faults > 0 -> faults--; lapsed[b] = 1; let_go() }
    :: atomic { AWAKE && lapsed[b] && registered[me] && !expelling[me] -> lapsed[b] = 0 }
    :: atomic { AWAKE && lapsed[b] && !registered[me] -> goto expelled }
    :: atomic { AWAKE && faults > 0 -> faults--; paused[b] = 1 }
    :: atomic {
        paused[b] -> paused[b] = 0;
        if
        :: lapsed[b] = 1
        :: registered[me] && !expelling[me]
        fi;
        if
        :: lapsed[b] -> let_go()
        :: else -> if :: using[b] -> connect(b) :: else fi /* nobody else may have connected meanwhile */
        fi }
    :: atomic { AWAKE && faults > 0 -> faults--; goto killed }
    od;

expelled:
killed:
    atomic {
        ended[me] = 1; using[b] = 0; paused[b] = 0; lapsed[b] = 0;
        asks = 0; answer = 0; have = 0; drains = 0; leaves = 0; is_old = 0; forget = 0; release = 0; result = 0;
        register(b);
        goto end
    }
}

/* The statements that ask for the row, one bridge's at its server: they go on while the process is paused, or without it. */
proctype Server(byte b) {
    byte me = 0;
    byte known = 0;
end:
    do
    :: atomic {
        lease_for[b] != 0 -> me = lease_for[b];
#ifndef TRAP_ROW_TAKEN_BY_AN_OLD_SNAPSHOT
        /* a statement of its own: a row whose run is not registered goes */
        if
        :: adopter != 0 && !registered[adopter] && !adopter_lock -> adopter = 0
        :: else
        fi
#else
        d_step { known = 0; for (i : 1 .. RUNS) { if :: registered[i] -> known = known | BIT(i) :: else fi } i = 0 }
#endif
       };
#ifndef TRAP_RUN_NOT_LOCKED
        atomic {
            !expelling[me];
            if
            :: registered[me] -> guarded[me] = 1
            :: else -> goto done
            fi
        };
#else
        if
        :: registered[me]
        :: else -> goto done
        fi;
#endif
        atomic {
            !adopter_lock;
            if
            :: adopter == 0 -> adopter = me
#ifdef TRAP_ROW_TAKEN_BY_AN_OLD_SNAPSHOT
            :: adopter != 0 && !(known & BIT(adopter)) -> adopter = me
#endif
            :: else
            fi;
            guarded[me] = 0
        };
done:
        atomic { lease_for[b] = 0; me = 0; known = 0 }
    od
}

/* The lease of a bridge: it expels runs that are gone, or whose lease has ended. */
#define MAY_EXPEL(r) \
    (registered[run_of[b]] && !paused[b] && !lapsed[b] && registered[r] && run_of[b] != (r) && !expelling[r] && !guarded[r] && (ended[r] || paused[bridge_of[r]] || lapsed[bridge_of[r]]))

proctype Lease(byte b) {
    byte r = 0;
    bit is_locked = 0;
end:
    do
    :: atomic {
        if
        :: MAY_EXPEL(1) -> r = 1
        :: MAY_EXPEL(2) -> r = 2
        :: MAY_EXPEL(3) -> r = 3
        :: MAY_EXPEL(4) -> r = 4
#if RUNS > 4
        :: MAY_EXPEL(5) -> r = 5
#endif
#if RUNS > 5
        :: MAY_EXPEL(6) -> r = 6
#endif
#if RUNS > 6
        :: MAY_EXPEL(7) -> r = 7
#endif
#if RUNS > 7
        :: MAY_EXPEL(8) -> r = 8
#endif
        fi;
#ifdef TRAP_ROW_GOES_BEFORE_THE_RUN
        if :: adopter == r && !adopter_lock -> adopter_lock = 1; is_locked = 1 :: else fi
        };
        atomic { !guarded[r]; /* else the DELETE waits */
#endif
        expelling[r] = 1 };
#if !defined(TRAP_ROW_STAYS) && !defined(TRAP_ROW_GOES_BEFORE_THE_RUN)
        atomic {
            !adopter_lock;
            if :: adopter == r -> adopter_lock = 1; is_locked = 1 :: else fi
        };
#endif
        atomic {
            if
            :: d_step {
                registered[r] = 0;
                if :: owner_run == r -> owner_run = 0 :: else fi;
                if :: is_locked -> adopter = 0 :: else fi
               }
            :: faults > 0 -> faults-- /* rolled back */
            fi;
            expelling[r] = 0;
            if :: is_locked -> adopter_lock = 0 :: else fi;
            is_locked = 0; r = 0
        }
    od
}

proctype End() {
    timeout;
    d_step {
        for (i : 0 .. BRIDGES - 1) { PROMISE(NOBODY_WAITS, !paused[i] && !lapsed[i]) }
        PROMISE(NOBODY_WAITS, !owner_waits && (owner_run != 0) == using[OWNER]);
        PROMISE(NOBODY_WAITS, owner_run == 0 || (!ended[owner_run] && !has_mail && adopter == 0));
        PROMISE(NOBODY_WAITS, owner_run != 0 || refuses || (!exists && !is_listed && !has_mail && adopter == 0))
    }
}

init {
    atomic {
        if
        :: refuses = 0
        :: refuses = 1
        fi;
        run Owner(); run Lease(OWNER);
        run Adopter(1); run Server(1); run Lease(1);
#if BRIDGES > 2
        run Adopter(2); run Server(2); run Lease(2);
#endif
        run End()
    }
}
