/* See lmdb_view.h. */
#include "worker/lmdb_view.h"

int lmdb_view_begin(struct lmdb_view *view, MDB_txn *change, MDB_txn **txn)
{
    lmdb_view_end(view);
    *txn = change;
    if (change != NULL)
        return 0;
    int code = view->reader == NULL ? mdb_txn_begin(view->env, NULL, MDB_RDONLY, &view->reader)
                                    : mdb_txn_renew(view->reader);
    if (code != 0)
        return code;
    view->reader_is_active = true;
    *txn = view->reader;
    return 0;
}

void lmdb_view_end(struct lmdb_view *view)
{
    if (view->reader_is_active)
        mdb_txn_reset(view->reader);
    view->reader_is_active = false;
}

void lmdb_view_close(struct lmdb_view *view)
{
    if (view->reader != NULL)
        mdb_txn_abort(view->reader);
    view->reader = NULL;
    view->reader_is_active = false;
}

static struct slice slice_of(const MDB_val *value)
{
    return (struct slice){value->mv_data, value->mv_size};
}

int lmdb_view_look(MDB_txn *txn, MDB_dbi table, struct slice key, struct slice *value)
{
    MDB_val wanted = lmdb_val(key);
    MDB_val found;
    int code = mdb_get(txn, table, &wanted, &found);
    if (code == 0)
        *value = slice_of(&found);
    return code;
}

int lmdb_view_walk(MDB_txn *txn, MDB_dbi table, struct slice from, lmdb_entry_read *read,
                   void *records, size_t max, size_t *count, enum status *status)
{
    *count = 0;
    *status = STATUS_OK;
    MDB_cursor *cursor;
    int code = mdb_cursor_open(txn, table, &cursor);
    if (code != 0)
        return code;
    MDB_val key = lmdb_val(from);
    MDB_val value;
    code = max > 0 ? mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE) : MDB_NOTFOUND;
    while (code == 0 && *count < max && *status == STATUS_OK) {
        *status = read(slice_of(&key), slice_of(&value), records, *count);
        *count += 1;
        code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    return code == MDB_NOTFOUND ? 0 : code;
}
