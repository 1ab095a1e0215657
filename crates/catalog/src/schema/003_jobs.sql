-- Version 3: long work, and what of a source was looked at.

CREATE TABLE job (
  tenant     INTEGER NOT NULL REFERENCES tenant (number),
  id         TEXT NOT NULL,
  name       TEXT NOT NULL,
  type       TEXT NOT NULL,
  status     TEXT NOT NULL CHECK (status IN ('pending', 'running', 'success', 'failed', 'cancelled')),
  percent    INTEGER NOT NULL CHECK (percent BETWEEN 0 AND 100),
  message    TEXT NOT NULL,
  stacktrace TEXT NOT NULL,
  input      TEXT NOT NULL,
  tries      INTEGER NOT NULL CHECK (tries >= 0),
  created_at INTEGER NOT NULL,
  started_at INTEGER,
  updated_at INTEGER NOT NULL,
  sum        INTEGER NOT NULL,
  PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX job_open ON job (status) WHERE status IN ('pending', 'running');

-- `checked`: all that the source had of this span was held here. `gap`: something of it is missing for good.
CREATE TABLE source_span (
  tenant     INTEGER NOT NULL,
  name       TEXT NOT NULL,
  verdict    TEXT NOT NULL CHECK (verdict IN ('checked', 'gap')),
  from_time  INTEGER NOT NULL,
  to_time    INTEGER NOT NULL CHECK (to_time > from_time),
  checked_at INTEGER NOT NULL,
  records    INTEGER NOT NULL CHECK (records >= 0),
  filled     INTEGER NOT NULL CHECK (filled >= 0),
  cause      TEXT NOT NULL,
  sum        INTEGER NOT NULL,
  PRIMARY KEY (tenant, name, verdict, from_time),
  FOREIGN KEY (tenant, name) REFERENCES source (tenant, name) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
