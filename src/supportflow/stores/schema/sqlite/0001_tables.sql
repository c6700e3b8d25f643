-- Times are whole microseconds since 1970-01-01 UTC; bodies and snapshots are the codec's JSON.

CREATE TABLE meta (
  name TEXT PRIMARY KEY,
  value NOT NULL
) WITHOUT ROWID;

-- head = "channel/thread/customer", percent-encoded: with the number it is the conversation's id, and
-- one index finds a conversation, the newest of a customer and everybody in a thread.
-- What erasure made unanswerable has no unanswered_since and no next_due_at.
CREATE TABLE conversation (
  id INTEGER PRIMARY KEY,
  head TEXT NOT NULL,
  number INTEGER NOT NULL,
  channel TEXT NOT NULL,
  customer TEXT NOT NULL,
  version INTEGER NOT NULL,
  state TEXT NOT NULL,
  opened_at INTEGER NOT NULL,
  unanswered_since INTEGER,
  next_due_at INTEGER,
  policy_version TEXT NOT NULL,
  assigned TEXT,
  tags TEXT NOT NULL,
  snapshot TEXT NOT NULL,
  UNIQUE (head, number)
);
CREATE INDEX conversation_opened ON conversation (opened_at);
CREATE INDEX conversation_customer ON conversation (customer, channel);
CREATE INDEX conversation_due ON conversation (next_due_at) WHERE next_due_at IS NOT NULL;
CREATE INDEX conversation_unanswered ON conversation (unanswered_since)
  WHERE unanswered_since IS NOT NULL;

CREATE TABLE event (
  position INTEGER PRIMARY KEY AUTOINCREMENT,
  conversation INTEGER NOT NULL REFERENCES conversation (id),
  version INTEGER NOT NULL,
  recorded_at INTEGER NOT NULL,
  kind TEXT NOT NULL,
  body TEXT NOT NULL,
  UNIQUE (conversation, version)
);

CREATE TABLE message (
  id INTEGER PRIMARY KEY,
  channel TEXT NOT NULL,
  kind TEXT NOT NULL,
  external_id TEXT NOT NULL,
  revision TEXT NOT NULL,
  conversation INTEGER REFERENCES conversation (id),
  direction TEXT NOT NULL,
  at INTEGER NOT NULL,
  author TEXT NOT NULL,
  author_name TEXT NOT NULL,
  author_handle TEXT NOT NULL,
  thread TEXT,
  parent TEXT,
  visibility TEXT NOT NULL,
  language TEXT,
  permalink TEXT,
  skeleton TEXT,
  removed_at INTEGER,
  removed_by TEXT,
  hidden INTEGER NOT NULL,
  parts TEXT NOT NULL,
  body TEXT NOT NULL,
  raw TEXT,
  UNIQUE (channel, kind, external_id, revision)
);
CREATE INDEX message_conversation ON message (conversation, at) WHERE conversation IS NOT NULL;
CREATE INDEX message_orphan ON message (channel, parent) WHERE conversation IS NULL;
CREATE INDEX message_skeleton ON message (skeleton, at) WHERE skeleton IS NOT NULL;

-- Removals of messages that we have not seen (yet).
CREATE TABLE removal (
  channel TEXT NOT NULL,
  kind TEXT NOT NULL,
  external_id TEXT NOT NULL,
  at INTEGER NOT NULL,
  by TEXT NOT NULL,
  hidden INTEGER NOT NULL,
  PRIMARY KEY (channel, kind, external_id)
) WITHOUT ROWID;

-- Keyed hashes of the keys of erased messages: a redelivery is refused for ever.
CREATE TABLE erased (
  hash TEXT PRIMARY KEY
) WITHOUT ROWID;

CREATE TABLE once (
  key TEXT PRIMARY KEY,
  result TEXT NOT NULL
) WITHOUT ROWID;

-- worker has the lease; sender made the latest attempt to send. settled_at is set in final states only.
CREATE TABLE outbox (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  mark TEXT NOT NULL UNIQUE,
  channel TEXT NOT NULL,
  stream TEXT NOT NULL,
  seq INTEGER NOT NULL,
  conversation INTEGER REFERENCES conversation (id),
  reply TEXT NOT NULL,
  part INTEGER NOT NULL,
  state TEXT NOT NULL CHECK
    (state IN ('pending', 'claimed', 'sending', 'unknown', 'sent', 'failed', 'cancelled')),
  hold TEXT,
  attempt INTEGER NOT NULL DEFAULT 0,
  fence INTEGER NOT NULL DEFAULT 0,
  worker INTEGER,
  sender INTEGER,
  lease_until INTEGER,
  not_before INTEGER NOT NULL,
  deadline INTEGER NOT NULL,
  first_sent_at INTEGER,
  last_sent_at INTEGER,
  negative_reads INTEGER NOT NULL DEFAULT 0,
  remote_id TEXT,
  last_error TEXT NOT NULL DEFAULT '',
  settled_at INTEGER,
  body TEXT NOT NULL,
  UNIQUE (stream, seq),
  CHECK ((settled_at IS NULL) = (state IN ('pending', 'claimed', 'sending', 'unknown')))
);
CREATE INDEX outbox_reply ON outbox (reply);
CREATE INDEX outbox_conversation ON outbox (conversation);
CREATE INDEX outbox_remote ON outbox (channel, remote_id) WHERE remote_id IS NOT NULL;
CREATE INDEX outbox_due ON outbox (state, not_before) WHERE settled_at IS NULL;
CREATE INDEX outbox_unsettled ON outbox (number) WHERE settled_at IS NULL;
CREATE INDEX outbox_open ON outbox (stream, seq) WHERE settled_at IS NULL;

-- Append-only: two receipts of one row with different remote ids are a duplicate to report.
CREATE TABLE receipt (
  outbox INTEGER NOT NULL REFERENCES outbox (number),
  fence INTEGER NOT NULL,
  remote_id TEXT,
  permalink TEXT,
  how TEXT NOT NULL,
  at INTEGER NOT NULL
);
CREATE INDEX receipt_outbox ON receipt (outbox);

CREATE TABLE channel (
  name TEXT PRIMARY KEY,
  paused_until INTEGER,
  needs_auth TEXT NOT NULL DEFAULT '',
  worker INTEGER,
  fence INTEGER NOT NULL DEFAULT 0,
  lease_until INTEGER,
  state TEXT
) WITHOUT ROWID;

CREATE TABLE quarantine (
  number INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  channel TEXT NOT NULL,
  why TEXT NOT NULL,
  at INTEGER NOT NULL,
  replayed_at INTEGER,
  raw BLOB NOT NULL
);

CREATE TABLE worker (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  started_at INTEGER NOT NULL
);

INSERT INTO meta (name, value) VALUES ('salt', lower(hex(randomblob(32))));
