#include <stdio.h>

#include "db/log_private.h"

/* What a chip's own number says about its unit: 0002_silicon_ids.sql. */

enum { SERIAL_ROOM = 48 };

int log_silicon_find(struct log *log, int64_t attempt_id, const char *silicon_id, int64_t *unit, char serial[48])
{
	sqlite3_stmt *row = sql_query(&log->sql,
				      "SELECT u.id, u.serial FROM attempts AS a JOIN runs AS r ON r.id = a.run"
				      " JOIN silicon_ids AS s ON s.product = r.product AND s.text = ?2"
				      " JOIN units AS u ON u.id = s.unit WHERE a.id = ?1 ORDER BY s.id DESC LIMIT 1",
				      "ie", attempt_id, silicon_id);

	serial[0] = '\0';
	if (!row)
		return -1;
	int rc = sqlite3_step(row);

	if (rc == SQLITE_ROW) {
		*unit = sqlite3_column_int64(row, 0);
		snprintf(serial, SERIAL_ROOM, "%s", sql_text(row, 1));
	}
	sqlite3_reset(row);
	return rc == SQLITE_ROW ? 1 : rc == SQLITE_DONE ? 0 : -1;
}

int log_silicon_bind(struct log *log, int64_t attempt_id, const char *silicon_id)
{
	return sql_do(&log->sql,
		      "INSERT INTO silicon_ids (product, text, unit, attempt)"
		      " SELECT u.product, ?2, u.id, a.id FROM attempts AS a JOIN units AS u ON u.id = a.unit WHERE a.id = ?1"
		      " ON CONFLICT DO NOTHING",
		      "ie", attempt_id, silicon_id);
}

int log_silicon_differs(struct log *log, const char *product, const char *serial, const char *silicon_id)
{
	int64_t known = 0, same = 0;
	int found = sql_int(&log->sql, &known,
			    "SELECT count(*) FROM units AS u JOIN silicon_ids AS s ON s.unit = u.id"
			    " WHERE u.product = ?1 AND u.serial = ?2", "ee", product, serial);

	if (found < 0 || sql_int(&log->sql, &same,
				 "SELECT count(*) FROM units AS u JOIN silicon_ids AS s ON s.unit = u.id"
				 " WHERE u.product = ?1 AND u.serial = ?2 AND s.text = ?3", "eee", product, serial,
				 silicon_id) < 0)
		return -1;
	return known > 0 && same == 0;
}
