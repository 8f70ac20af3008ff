-- Format 1 of a case. Times are microseconds since the Unix epoch, UTC; offsets and sizes are 64 bits
-- without a sign, stored as they are. A change of this file is a new format.
CREATE TABLE states (finding TEXT PRIMARY KEY, state TEXT NOT NULL, at INTEGER NOT NULL) STRICT;
CREATE TABLE notes (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    byte INTEGER NOT NULL, -- of an event; else 0
    text TEXT NOT NULL,
    created INTEGER NOT NULL,
    edited INTEGER NOT NULL
) STRICT;
CREATE TABLE bookmarks (
    id INTEGER PRIMARY KEY,
    file TEXT NOT NULL,
    line INTEGER NOT NULL,
    byte INTEGER NOT NULL,
    length INTEGER NOT NULL,
    ts INTEGER NOT NULL,
    label TEXT NOT NULL
) STRICT;
CREATE TABLE story (
    id INTEGER PRIMARY KEY,
    position INTEGER NOT NULL,
    kind TEXT NOT NULL,
    content TEXT NOT NULL,
    added INTEGER NOT NULL
) STRICT;
CREATE TABLE journal (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, text TEXT NOT NULL) STRICT;
CREATE TABLE queries (id INTEGER PRIMARY KEY, sql TEXT NOT NULL, at INTEGER NOT NULL) STRICT;
CREATE TABLE view (key TEXT PRIMARY KEY, json TEXT NOT NULL) STRICT;
CREATE TABLE sources (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    size INTEGER NOT NULL,
    head BLOB NOT NULL -- SHA-256 of the first 64 KiB
) STRICT;
CREATE TABLE results (
    name TEXT PRIMARY KEY,
    made_by TEXT NOT NULL,
    at INTEGER NOT NULL,
    json BLOB NOT NULL -- one zstd frame with a checksum
) STRICT;
