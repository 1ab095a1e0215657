-- Version 2: where records come from.

CREATE TABLE source (
  tenant       INTEGER NOT NULL REFERENCES tenant (number),
  name         TEXT NOT NULL,
  system       TEXT NOT NULL,
  kind         TEXT NOT NULL,
  settings     TEXT NOT NULL,
  secret_names TEXT NOT NULL,
  secrets      BLOB NOT NULL,
  created_at   INTEGER NOT NULL,
  updated_at   INTEGER NOT NULL,
  sum          INTEGER NOT NULL,
  PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;

-- What changes with every answer of a source, apart from its secrets.
CREATE TABLE source_state (
  tenant    INTEGER NOT NULL,
  name      TEXT NOT NULL,
  position  TEXT,
  last_seen INTEGER,
  received  INTEGER NOT NULL CHECK (received >= 0),
  duplicate INTEGER NOT NULL CHECK (duplicate >= 0),
  refused   INTEGER NOT NULL CHECK (refused >= 0),
  sum       INTEGER NOT NULL,
  PRIMARY KEY (tenant, name),
  FOREIGN KEY (tenant, name) REFERENCES source (tenant, name) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
