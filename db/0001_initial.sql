-- The production log, schema 1. Times (…_ms) are milliseconds since 1970 UTC, durations microseconds.
-- Nothing here is ever deleted, and nothing finished is ever changed: the triggers at the end see to that.

PRAGMA application_id = 1349478252; -- 0x506f676c, "Pogl": other SQLite files are refused

CREATE TABLE recipes (
	id INTEGER PRIMARY KEY,
	digest TEXT NOT NULL UNIQUE, -- SHA-256 of the recipe file
	text TEXT NOT NULL,          -- the whole file, so that the log explains itself years later
	product TEXT NOT NULL,
	path TEXT NOT NULL
) STRICT;

CREATE TABLE images (
	id INTEGER PRIMARY KEY,
	digest TEXT NOT NULL UNIQUE, -- SHA-256 of the image
	crc32 INTEGER NOT NULL,
	bytes INTEGER NOT NULL,
	path TEXT NOT NULL
) STRICT;

CREATE TABLE runs (
	id INTEGER PRIMARY KEY,
	station TEXT NOT NULL,
	operator TEXT NOT NULL,
	tool_version TEXT NOT NULL,
	product TEXT NOT NULL,
	part TEXT NOT NULL,
	recipe INTEGER NOT NULL REFERENCES recipes (id),
	image INTEGER NOT NULL REFERENCES images (id),
	begun_ms INTEGER NOT NULL,
	ended_ms INTEGER,
	interrupted INTEGER NOT NULL DEFAULT 0 CHECK (interrupted IN (0, 1)) -- 1: found open at the next start
) STRICT;

CREATE TABLE slots (
	id INTEGER PRIMARY KEY,
	station TEXT NOT NULL,
	name TEXT NOT NULL,
	port TEXT NOT NULL, -- the USB port path: a slot moved to another port is another slot
	UNIQUE (station, name, port)
) STRICT;

CREATE TABLE programmers (
	id INTEGER PRIMARY KEY,
	kind TEXT NOT NULL,
	firmware TEXT NOT NULL,
	usb TEXT NOT NULL, -- "vendor:product release"; cheap programmers have no serial number
	port TEXT NOT NULL,
	UNIQUE (kind, firmware, usb, port)
) STRICT;

-- One board. A board that never got a serial number is a unit too, or contact failures would vanish from
-- the first pass yield: serial is NULL then, and it is called "unit-" and its first attempt.
CREATE TABLE units (
	id INTEGER PRIMARY KEY,
	product TEXT NOT NULL,
	serial TEXT,
	first_attempt INTEGER NOT NULL REFERENCES attempts (id),
	UNIQUE (product, serial)
) STRICT;

CREATE TABLE attempts (
	id INTEGER PRIMARY KEY,
	run INTEGER NOT NULL REFERENCES runs (id),
	slot INTEGER NOT NULL REFERENCES slots (id),
	programmer INTEGER NOT NULL REFERENCES programmers (id),
	unit INTEGER REFERENCES units (id), -- NULL: not known yet, or station trouble before it was known
	number INTEGER,                     -- the how-manieth attempt on this unit, from 1
	opened_ms INTEGER NOT NULL,
	closed_ms INTEGER,
	status TEXT CHECK (status IN ('PASS', 'FAIL', 'ERROR')), -- NULL while open
	code TEXT,
	step TEXT,
	sentence TEXT,
	address INTEGER,
	expected INTEGER,
	found INTEGER,
	duration_us INTEGER, -- NULL when interrupted: nobody knows
	interrupted INTEGER NOT NULL DEFAULT 0 CHECK (interrupted IN (0, 1)),
	CHECK ((closed_ms IS NULL) = (status IS NULL)),
	CHECK (status IS NULL OR (status = 'PASS') = (code IS NULL)),
	CHECK ((unit IS NULL) = (number IS NULL))
) STRICT;

CREATE TABLE steps (
	id INTEGER PRIMARY KEY,
	attempt INTEGER NOT NULL REFERENCES attempts (id),
	seq INTEGER NOT NULL,
	name TEXT NOT NULL,
	begun_ms INTEGER NOT NULL,
	duration_us INTEGER,
	result TEXT, -- NULL while it runs, then 'ok' or a failure code
	UNIQUE (attempt, seq)
) STRICT;

CREATE TABLE measures (
	id INTEGER PRIMARY KEY,
	attempt INTEGER NOT NULL REFERENCES attempts (id),
	name TEXT NOT NULL,
	number INTEGER NOT NULL,
	text TEXT
) STRICT;

-- The life of a serial number. A number is durable here before its first byte goes to a chip, and is never
-- given to a second board. Gaps are allowed, doubles are not.
--
--     (given) ──► RESERVED ──read back──► WRITTEN ──PASS──► COMMITTED
--                  │ │ │ ▲                   │                  │
--                  │ │ │ │                   └─not PASS─► IN DOUBT
--                  │ │ │ └── the board came back carrying it: from COMMITTED, IN DOUBT or VOID
--                  │ │ └──── PASS: COMMITTED (a chip whose field already held the number)
--                  │ └────── not PASS, may be on the chip, or the station died: IN DOUBT
--                  └──────── not PASS, surely not on the chip: VOID
--
-- IN DOUBT: only the board knows. It is read when it comes back, and decides.
-- COMMITTED or VOID and back again: rework, or a number that reached a chip against all expectation; the
-- chip is right, the log follows it. When such an attempt fails before it began to work on the chip, the number still is
-- where it was and gets back the state it had (prior_state). Once a step after the claim was begun, the
-- old content of the chip may be gone or half gone, and the number is IN DOUBT.
CREATE TABLE serials (
	id INTEGER PRIMARY KEY,
	product TEXT NOT NULL,
	prefix TEXT NOT NULL,
	number INTEGER NOT NULL CHECK (number >= 0),
	text TEXT NOT NULL,
	state TEXT NOT NULL CHECK (state IN ('RESERVED', 'WRITTEN', 'COMMITTED', 'VOID', 'IN DOUBT')),
	unit INTEGER NOT NULL REFERENCES units (id),
	attempt INTEGER NOT NULL REFERENCES attempts (id), -- the last one that claimed it
	prior_state TEXT,            -- before the claim of that attempt; NULL: the number was fresh
	claim_seq INTEGER NOT NULL,  -- the last step begun before that claim
	changed_ms INTEGER NOT NULL,
	UNIQUE (product, text),
	UNIQUE (product, prefix, number)
) STRICT;

CREATE TABLE serial_history (
	id INTEGER PRIMARY KEY,
	serial INTEGER NOT NULL REFERENCES serials (id),
	attempt INTEGER NOT NULL REFERENCES attempts (id),
	state TEXT NOT NULL,
	at_ms INTEGER NOT NULL
) STRICT;

CREATE INDEX attempts_by_unit ON attempts (unit, id, status);
CREATE INDEX attempts_by_run ON attempts (run, status);
CREATE INDEX attempts_by_slot ON attempts (slot);
CREATE INDEX attempts_open ON attempts (id) WHERE closed_ms IS NULL;
CREATE INDEX units_by_serial ON units (serial);
CREATE INDEX measures_by_attempt ON measures (attempt);
CREATE INDEX serials_by_unit ON serials (unit);
CREATE INDEX serials_held ON serials (id) WHERE state IN ('RESERVED', 'WRITTEN');
CREATE INDEX history_by_serial ON serial_history (serial);

-- The history writes itself, so that no change of state can forget it.
CREATE TRIGGER serials_born AFTER INSERT ON serials BEGIN
	INSERT INTO serial_history (serial, attempt, state, at_ms)
	VALUES (NEW.id, NEW.attempt, NEW.state, NEW.changed_ms);
END;
CREATE TRIGGER serials_moved AFTER UPDATE OF state ON serials BEGIN
	INSERT INTO serial_history (serial, attempt, state, at_ms)
	VALUES (NEW.id, NEW.attempt, NEW.state, NEW.changed_ms);
END;
CREATE TRIGGER serials_way BEFORE UPDATE OF state ON serials
WHEN NOT (OLD.state = 'RESERVED' AND NEW.state <> 'RESERVED'
	OR OLD.state = 'WRITTEN' AND NEW.state IN ('COMMITTED', 'IN DOUBT')
	OR OLD.state NOT IN ('RESERVED', 'WRITTEN') AND NEW.state = 'RESERVED')
BEGIN SELECT RAISE(ABORT, 'a serial number does not change its state that way'); END;
CREATE TRIGGER serials_fixed BEFORE UPDATE OF id, product, prefix, number, text, unit ON serials
BEGIN SELECT RAISE(ABORT, 'a serial number is given once and for ever'); END;
CREATE TRIGGER serials_start BEFORE INSERT ON serials WHEN NEW.state <> 'RESERVED'
BEGIN SELECT RAISE(ABORT, 'a serial number starts RESERVED'); END;

CREATE TRIGGER attempts_closed BEFORE UPDATE ON attempts WHEN OLD.closed_ms IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'a closed attempt is never changed'); END;
CREATE TRIGGER attempts_fixed BEFORE UPDATE OF id, run, slot, programmer, opened_ms ON attempts
BEGIN SELECT RAISE(ABORT, 'where and when an attempt began is never changed'); END;
CREATE TRIGGER attempts_unit BEFORE UPDATE OF unit, number ON attempts WHEN OLD.unit IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'an attempt belongs to one unit'); END;
CREATE TRIGGER steps_late BEFORE INSERT ON steps
WHEN (SELECT closed_ms FROM attempts WHERE id = NEW.attempt) IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'a closed attempt gets no further step'); END;
CREATE TRIGGER steps_ended BEFORE UPDATE ON steps WHEN OLD.result IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'an ended step is never changed'); END;
CREATE TRIGGER steps_fixed BEFORE UPDATE OF id, attempt, seq, name, begun_ms ON steps
BEGIN SELECT RAISE(ABORT, 'which step began when is never changed'); END;
CREATE TRIGGER measures_late BEFORE INSERT ON measures
WHEN (SELECT closed_ms FROM attempts WHERE id = NEW.attempt) IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'a closed attempt gets no further measure'); END;
CREATE TRIGGER measures_fixed BEFORE UPDATE ON measures
BEGIN SELECT RAISE(ABORT, 'a measure is never changed'); END;
CREATE TRIGGER history_fixed BEFORE UPDATE ON serial_history
BEGIN SELECT RAISE(ABORT, 'history is never changed'); END;
CREATE TRIGGER units_fixed BEFORE UPDATE ON units
BEGIN SELECT RAISE(ABORT, 'a unit is never changed'); END;
CREATE TRIGGER recipes_fixed BEFORE UPDATE ON recipes
BEGIN SELECT RAISE(ABORT, 'a recipe that was run is never changed'); END;
CREATE TRIGGER images_fixed BEFORE UPDATE ON images
BEGIN SELECT RAISE(ABORT, 'an image that was run is never changed'); END;
CREATE TRIGGER slots_fixed BEFORE UPDATE ON slots
BEGIN SELECT RAISE(ABORT, 'a slot of the log is never changed'); END;
CREATE TRIGGER programmers_fixed BEFORE UPDATE ON programmers
BEGIN SELECT RAISE(ABORT, 'a programmer of the log is never changed'); END;
CREATE TRIGGER runs_ended BEFORE UPDATE ON runs WHEN OLD.ended_ms IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'an ended run is never changed'); END;
CREATE TRIGGER runs_fixed
BEFORE UPDATE OF id, station, operator, tool_version, product, part, recipe, image, begun_ms ON runs
BEGIN SELECT RAISE(ABORT, 'what a run began with is never changed'); END;

CREATE TRIGGER recipes_kept BEFORE DELETE ON recipes BEGIN SELECT RAISE(ABORT, 'the log deletes nothing'); END;
CREATE TRIGGER images_kept BEFORE DELETE ON images BEGIN SELECT RAISE(ABORT, 'the log deletes nothing'); END;
CREATE TRIGGER runs_kept BEFORE DELETE ON runs BEGIN SELECT RAISE(ABORT, 'the log deletes nothing'); END;
CREATE TRIGGER slots_kept BEFORE DELETE ON slots BEGIN SELECT RAISE(ABORT, 'the log deletes nothing'); END;
CREATE TRIGGER programmers_kept BEFORE DELETE ON programmers
BEGIN SELECT RAISE(ABORT, 'the log deletes nothing'); END;
CREATE TRIGGER units_kept BEFORE DELETE ON units BEGIN SELECT RAISE(ABORT, 'the log deletes nothing'); END;
CREATE TRIGGER attempts_kept BEFORE DELETE ON attempts BEGIN SELECT RAISE(ABORT, 'the log deletes nothing'); END;
CREATE TRIGGER steps_kept BEFORE DELETE ON steps BEGIN SELECT RAISE(ABORT, 'the log deletes nothing'); END;
CREATE TRIGGER measures_kept BEFORE DELETE ON measures BEGIN SELECT RAISE(ABORT, 'the log deletes nothing'); END;
CREATE TRIGGER serials_kept BEFORE DELETE ON serials BEGIN SELECT RAISE(ABORT, 'the log deletes nothing'); END;
CREATE TRIGGER history_kept BEFORE DELETE ON serial_history
BEGIN SELECT RAISE(ABORT, 'the log deletes nothing'); END;
