-- What searches found. A message that is also in `message` was addressed to us, and is not shown here.
CREATE TABLE mention (
  number INTEGER PRIMARY KEY,
  query TEXT NOT NULL,
  channel TEXT NOT NULL,
  kind TEXT NOT NULL,
  external_id TEXT NOT NULL,
  author TEXT NOT NULL,
  at INTEGER NOT NULL,
  body TEXT NOT NULL,
  UNIQUE (channel, query, kind, external_id)
);
CREATE INDEX mention_at ON mention (at, number);
CREATE INDEX mention_author ON mention (author, channel);
