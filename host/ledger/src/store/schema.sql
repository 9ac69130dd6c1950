-- Version 4. The log is `entries`; the other tables say what it means now. A `seal` is a check value over the rest of
-- its row; see seals.rs.

CREATE TABLE meta(
  key   TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE entries(
  sequence INTEGER PRIMARY KEY,
  kind     TEXT NOT NULL,
  run      TEXT NOT NULL,
  at       TEXT NOT NULL,
  envelope BLOB NOT NULL,
  digest   TEXT NOT NULL,
  seal     BLOB NOT NULL
) STRICT;

-- The tree over the entries' leaves; see log.rs.
CREATE TABLE hashes(
  place INTEGER PRIMARY KEY,
  hash  BLOB NOT NULL
) STRICT;

CREATE TABLE checkpoints(
  size INTEGER PRIMARY KEY,
  root TEXT NOT NULL,
  note TEXT NOT NULL,
  at   TEXT NOT NULL,
  seal BLOB
) STRICT;

CREATE TABLE plans(
  id           TEXT PRIMARY KEY,
  digest       TEXT NOT NULL,
  capability   TEXT NOT NULL,
  input_digest TEXT NOT NULL,
  run          TEXT NOT NULL,
  created      TEXT NOT NULL,
  expires      TEXT NOT NULL,
  status       TEXT NOT NULL CHECK (status IN ('waiting', 'applied', 'rejected', 'superseded')),
  approvable   INTEGER NOT NULL CHECK (approvable IN (0, 1)),
  document     BLOB NOT NULL,
  secret       BLOB NOT NULL,
  seal         BLOB
) STRICT;

CREATE TABLE approvals(
  id          TEXT PRIMARY KEY,
  plan        TEXT NOT NULL REFERENCES plans(id),
  entry       INTEGER NOT NULL REFERENCES entries(sequence),
  how         TEXT NOT NULL,
  principal   TEXT NOT NULL,
  fingerprint TEXT,
  kind        TEXT,
  touch       INTEGER NOT NULL CHECK (touch IN (0, 1)),
  at          TEXT NOT NULL,
  signed_text TEXT NOT NULL,
  signature   TEXT,
  consumed_by TEXT,
  seal        BLOB
) STRICT;
CREATE INDEX approvals_of_plan ON approvals(plan);

CREATE TABLE runs(
  key          TEXT PRIMARY KEY,
  capability   TEXT NOT NULL,
  input_digest TEXT,
  plan         TEXT REFERENCES plans(id),
  intent       INTEGER REFERENCES entries(sequence),
  receipt      INTEGER REFERENCES entries(sequence),
  status       TEXT,
  -- The run whose outcome nobody knew and that this one goes on with or resolves.
  continues    TEXT REFERENCES runs(key),
  -- The run that this one takes back.
  undoes       TEXT REFERENCES runs(key),
  -- Of a run with an unknown outcome: a person has said of every effect in doubt what became of it.
  resolved     INTEGER NOT NULL DEFAULT 0 CHECK (resolved IN (0, 1)),
  -- Of a run with an unknown outcome: the run that went on with it, or took its place.
  settled_by   TEXT,
  seal         BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX runs_that_undo ON runs(undoes) WHERE undoes IS NOT NULL;
-- Those that took up a plan: read-only runs, of which there may be many, stand in neither.
CREATE INDEX runs_of_plans ON runs(plan, intent) WHERE plan IS NOT NULL;
CREATE INDEX runs_that_applied ON runs(capability, intent) WHERE plan IS NOT NULL AND intent IS NOT NULL;
-- The runs whose effects nobody can be sure of. They are few, whatever the number of runs.
CREATE INDEX runs_open ON runs(capability, input_digest)
  WHERE intent IS NOT NULL AND settled_by IS NULL AND (receipt IS NULL OR status = 'unknown');

CREATE TABLE effects(
  run            TEXT NOT NULL REFERENCES runs(key),
  number         INTEGER NOT NULL,
  state          TEXT NOT NULL CHECK (state IN ('started', 'performed', 'not-performed')),
  request_digest TEXT NOT NULL,
  response       BLOB,
  at             TEXT NOT NULL,
  seal           BLOB,
  PRIMARY KEY (run, number)
) STRICT, WITHOUT ROWID;

-- What the guest of a run that changes things asked and was told, until the run has ended and its recording has it.
CREATE TABLE journal(
  run    TEXT NOT NULL REFERENCES runs(key),
  number INTEGER NOT NULL,
  entry  BLOB NOT NULL,
  seal   BLOB,
  PRIMARY KEY (run, number)
) STRICT, WITHOUT ROWID;

-- What is kept of each run that has its receipt, until it is erased: how many bytes, and those of a read-only run's
-- that are few, packed (bodies.rs); others are files. Rows come and go in the order of the receipts.
CREATE TABLE kept(
  receipt INTEGER PRIMARY KEY REFERENCES entries(sequence),
  bytes   INTEGER NOT NULL,
  seal    BLOB,
  bodies  BLOB
) STRICT;
-- Their sum, so that no run has to add them all up.
INSERT INTO meta(key, value) VALUES ('kept', '0');
CREATE TRIGGER kept_more AFTER INSERT ON kept
  BEGIN UPDATE meta SET value = CAST(value AS INTEGER) + NEW.bytes WHERE key = 'kept'; END;
CREATE TRIGGER kept_less AFTER DELETE ON kept
  BEGIN UPDATE meta SET value = CAST(value AS INTEGER) - OLD.bytes WHERE key = 'kept'; END;
CREATE TRIGGER kept_stays BEFORE UPDATE OF receipt, bytes, bodies ON kept
  BEGIN SELECT RAISE(ABORT, 'what a run has kept does not change'); END;
CREATE INDEX plans_waiting ON plans(run) WHERE status = 'waiting';

-- Rows wait for their seals within one transaction only, so these indexes are empty at rest.

CREATE INDEX checkpoints_unsealed ON checkpoints(seal) WHERE seal IS NULL;
CREATE TRIGGER checkpoints_unseal AFTER UPDATE ON checkpoints WHEN NEW.seal IS OLD.seal AND OLD.seal IS NOT NULL
  BEGIN UPDATE checkpoints SET seal = NULL WHERE size = NEW.size; END;

CREATE INDEX plans_unsealed ON plans(seal) WHERE seal IS NULL;
CREATE TRIGGER plans_unseal AFTER UPDATE ON plans WHEN NEW.seal IS OLD.seal AND OLD.seal IS NOT NULL
  BEGIN UPDATE plans SET seal = NULL WHERE id = NEW.id; END;

CREATE INDEX approvals_unsealed ON approvals(seal) WHERE seal IS NULL;
CREATE TRIGGER approvals_unseal AFTER UPDATE ON approvals WHEN NEW.seal IS OLD.seal AND OLD.seal IS NOT NULL
  BEGIN UPDATE approvals SET seal = NULL WHERE id = NEW.id; END;

CREATE INDEX runs_unsealed ON runs(seal) WHERE seal IS NULL;
CREATE TRIGGER runs_unseal AFTER UPDATE ON runs WHEN NEW.seal IS OLD.seal AND OLD.seal IS NOT NULL
  BEGIN UPDATE runs SET seal = NULL WHERE key = NEW.key; END;

CREATE INDEX effects_unsealed ON effects(seal) WHERE seal IS NULL;
CREATE TRIGGER effects_unseal AFTER UPDATE ON effects WHEN NEW.seal IS OLD.seal AND OLD.seal IS NOT NULL
  BEGIN UPDATE effects SET seal = NULL WHERE run = NEW.run AND number = NEW.number; END;

CREATE INDEX journal_unsealed ON journal(seal) WHERE seal IS NULL;

CREATE INDEX kept_unsealed ON kept(seal) WHERE seal IS NULL;

-- What was written stays written. These triggers guard against our own mistakes; against somebody who can write
-- the file, only a copy of the log elsewhere helps.

CREATE TRIGGER entries_in_order BEFORE INSERT ON entries
  WHEN NEW.sequence IS NOT (SELECT coalesce(max(sequence), 0) + 1 FROM entries)
  BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER entries_stay BEFORE UPDATE ON entries
  BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER entries_last BEFORE DELETE ON entries
  BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;

CREATE TRIGGER checkpoints_stay BEFORE UPDATE OF size, root, note, at ON checkpoints
  BEGIN SELECT RAISE(ABORT, 'a checkpoint does not change'); END;
CREATE TRIGGER checkpoints_last BEFORE DELETE ON checkpoints
  BEGIN SELECT RAISE(ABORT, 'a checkpoint is kept'); END;

-- A plan's document and secret may be erased; what approvals are bound to may not change.
CREATE TRIGGER plans_stay
  BEFORE UPDATE OF id, digest, capability, input_digest, run, created, expires, approvable ON plans
  BEGIN SELECT RAISE(ABORT, 'a plan does not change'); END;
CREATE TRIGGER plans_last BEFORE DELETE ON plans
  BEGIN SELECT RAISE(ABORT, 'a plan is kept'); END;

CREATE TRIGGER approvals_stay
  BEFORE UPDATE OF id, plan, entry, how, principal, fingerprint, kind, touch, at, signed_text, signature ON approvals
  BEGIN SELECT RAISE(ABORT, 'an approval does not change'); END;
CREATE TRIGGER approvals_once BEFORE UPDATE OF consumed_by ON approvals
  WHEN OLD.consumed_by IS NOT NULL
  BEGIN SELECT RAISE(ABORT, 'an approval is used once'); END;
CREATE TRIGGER approvals_last BEFORE DELETE ON approvals
  BEGIN SELECT RAISE(ABORT, 'an approval is kept'); END;

CREATE TRIGGER runs_stay BEFORE UPDATE OF key, capability, input_digest, plan, intent, continues, undoes ON runs
  BEGIN SELECT RAISE(ABORT, 'a run does not change'); END;
CREATE TRIGGER runs_end_once BEFORE UPDATE OF receipt, status ON runs
  WHEN OLD.receipt IS NOT NULL
  BEGIN SELECT RAISE(ABORT, 'a run has one receipt'); END;
CREATE TRIGGER runs_settled_once BEFORE UPDATE OF settled_by ON runs
  WHEN OLD.settled_by IS NOT NULL
  BEGIN SELECT RAISE(ABORT, 'a run is settled once'); END;
CREATE TRIGGER runs_last BEFORE DELETE ON runs
  BEGIN SELECT RAISE(ABORT, 'a run is kept'); END;

-- An answer may be erased.
CREATE TRIGGER effects_end_once
  BEFORE UPDATE OF run, number, state, request_digest, response, at ON effects
  WHEN (OLD.state <> 'started' AND (NEW.state <> OLD.state OR NEW.response IS NOT NULL))
    OR NEW.request_digest <> OLD.request_digest
  BEGIN SELECT RAISE(ABORT, 'an effect is performed once'); END;
CREATE TRIGGER journal_stays BEFORE UPDATE OF run, number, entry ON journal
  BEGIN SELECT RAISE(ABORT, 'a journal does not change'); END;
CREATE TRIGGER effects_last BEFORE DELETE ON effects
  BEGIN SELECT RAISE(ABORT, 'an effect is kept'); END;
