-- Version 1. Every row's `sum` covers its other columns (see sum.rs and docs/formats/catalog.md).

CREATE TABLE meta (
  name  TEXT PRIMARY KEY,
  value BLOB NOT NULL,
  sum   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE position (
  name  TEXT PRIMARY KEY,
  value INTEGER NOT NULL CHECK (value >= 0),
  sum   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE tenant (
  number     INTEGER PRIMARY KEY CHECK (number BETWEEN 1 AND 4294967295),
  slug       TEXT NOT NULL UNIQUE,
  settings   TEXT NOT NULL,
  secret     BLOB NOT NULL CHECK (length(secret) = 32),
  created_at INTEGER NOT NULL,
  sum        INTEGER NOT NULL
) STRICT;

CREATE TABLE api_key (
  id         TEXT PRIMARY KEY CHECK (length(id) = 12),
  tenant     INTEGER REFERENCES tenant (number),
  name       TEXT NOT NULL,
  scopes     TEXT NOT NULL,
  hash       BLOB NOT NULL CHECK (length(hash) = 32),
  last4      TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  revoked_at INTEGER,
  sum        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX api_key_tenant ON api_key (tenant);

CREATE TABLE person_key (
  tenant INTEGER NOT NULL REFERENCES tenant (number),
  person BLOB NOT NULL CHECK (length(person) = 16),
  secret BLOB NOT NULL CHECK (length(secret) = 32),
  sum    INTEGER NOT NULL,
  PRIMARY KEY (tenant, person)
) STRICT, WITHOUT ROWID;

CREATE TABLE segment (
  id            INTEGER PRIMARY KEY CHECK (id >= 0),
  level         INTEGER NOT NULL,
  row_count     INTEGER NOT NULL,
  bytes         INTEGER NOT NULL,
  sha256        BLOB NOT NULL CHECK (length(sha256) = 32),
  filter_bytes  INTEGER NOT NULL,
  filter_sha256 BLOB NOT NULL CHECK (length(filter_sha256) = 32),
  created_at    INTEGER NOT NULL,
  sum           INTEGER NOT NULL,
  slices        BLOB NOT NULL
) STRICT;

CREATE TABLE retired (
  id         INTEGER PRIMARY KEY CHECK (id >= 0),
  retired_at INTEGER NOT NULL,
  sum        INTEGER NOT NULL
) STRICT;

CREATE TABLE frontier (
  tenant INTEGER PRIMARY KEY REFERENCES tenant (number),
  size   INTEGER NOT NULL CHECK (size >= 0),
  hashes BLOB NOT NULL,
  sum    INTEGER NOT NULL
) STRICT;

-- With rowids: a full tile is 8 KiB, and tables without rowids hold such rows badly.
CREATE TABLE tile (
  tenant INTEGER NOT NULL REFERENCES tenant (number),
  level  INTEGER NOT NULL CHECK (level BETWEEN 0 AND 63),
  number INTEGER NOT NULL CHECK (number >= 0),
  hashes BLOB NOT NULL CHECK (length(hashes) BETWEEN 32 AND 8192 AND length(hashes) % 32 = 0),
  sum    INTEGER NOT NULL,
  PRIMARY KEY (tenant, level, number)
) STRICT;

CREATE TABLE checkpoint (
  tenant INTEGER PRIMARY KEY REFERENCES tenant (number),
  size   INTEGER NOT NULL CHECK (size >= 0),
  root   BLOB NOT NULL CHECK (length(root) = 32),
  note   TEXT NOT NULL,
  sum    INTEGER NOT NULL
) STRICT;
