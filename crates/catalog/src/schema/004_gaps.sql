-- Version 4: gaps, each under the id of its entry in the ledger, and when what was missing was found to be here after all.

CREATE TABLE source_gap (
  tenant    INTEGER NOT NULL,
  name      TEXT NOT NULL,
  id        TEXT NOT NULL,
  from_time INTEGER NOT NULL,
  to_time   INTEGER NOT NULL CHECK (to_time > from_time),
  told_at   INTEGER NOT NULL,
  told_size INTEGER NOT NULL CHECK (told_size >= 0),
  cause     TEXT NOT NULL,
  filled_at INTEGER,
  filled_by TEXT NOT NULL CHECK (filled_at IS NOT NULL OR filled_by = ''),
  sum       INTEGER NOT NULL,
  PRIMARY KEY (tenant, name, id),
  FOREIGN KEY (tenant, name) REFERENCES source (tenant, name) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
