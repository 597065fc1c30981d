-- Schema 2. Some chips carry a number that by the word of their maker no other chip has. It names the board even when its
-- serial number was erased or cannot be read: the board gets the same serial again. A serial on another chip than before, or
-- a chip that carries another serial than before, is an alarm.

-- A chip may have been a unit without a serial first; the newest row counts.
CREATE TABLE silicon_ids (
	id INTEGER PRIMARY KEY,
	product TEXT NOT NULL,
	text TEXT NOT NULL, -- hex
	unit INTEGER NOT NULL REFERENCES units (id),
	attempt INTEGER NOT NULL REFERENCES attempts (id), -- that found it
	UNIQUE (product, text, unit)
) STRICT;

CREATE INDEX silicon_ids_by_unit ON silicon_ids (unit);

CREATE TRIGGER silicon_ids_fixed BEFORE UPDATE ON silicon_ids
BEGIN SELECT RAISE(ABORT, 'whose chip a number names is never changed'); END;
CREATE TRIGGER silicon_ids_kept BEFORE DELETE ON silicon_ids
BEGIN SELECT RAISE(ABORT, 'the log deletes nothing'); END;
