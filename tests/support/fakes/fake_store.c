#include "fake_store.h"

#include "ledger/sqlite/sqlite.h"

/* The linker option --wrap needs these names: see tests/unit/CMakeLists.txt.
 * NOLINTBEGIN(bugprone-reserved-identifier) */
enum status __real_store_choose(const char *setting, const struct store_ops **out_ops,
                                const char **out_location, struct buf *out_why);
enum status __wrap_store_choose(const char *setting, const struct store_ops **out_ops,
                                const char **out_location, struct buf *out_why);

enum status __wrap_store_choose(const char *setting, const struct store_ops **out_ops,
                                const char **out_location, struct buf *out_why)
{
    static struct store_ops ops;
    enum status status = __real_store_choose(setting, out_ops, out_location, out_why);
    ops = store_sqlite_ops;
    ops.carry_out = fake_store_carry_out;
    ops.error = fake_store_error;
    *out_ops = &ops;
    return status;
}
/* NOLINTEND(bugprone-reserved-identifier) */
