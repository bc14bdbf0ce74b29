/*
 * bench_statements - prints the SQL of the PostgreSQL store, for ./postgres.
 *
 * bench_statements index: the statements that make the index which a bridge with coalesce_s needs.
 * bench_statements list: a line for each statement: its name, a tab, its text.
 */
#include "bench.h"

#include "ledger/postgres/schema.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "index") == 0) {
        puts(store_postgres_effect_index);
    } else if (argc == 2 && strcmp(argv[1], "list") == 0) {
        for (size_t i = 0; i < PG_STATEMENT_COUNT; i++) {
            printf("%s\t%s\n", store_postgres_statements[i].name,
                   store_postgres_statements[i].text);
        }
    } else {
        bench_die(EX_USAGE, "bench_statements index | list");
    }
    return BENCH_EXIT_OK;
}
