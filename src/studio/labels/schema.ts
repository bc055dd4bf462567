/**
 * The tables of the label store, one text for each version of them. Text of people stands there as JSON, because SQLite ends a
 * text at its first NUL. Rows of `vote` are never changed or removed while their project is there: what counts now is in
 * `current`.
 */
export const migrations: readonly string[] = [
  `
  CREATE TABLE person (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    -- SHA-256 of the link's token; null once the link has ended, and for the owner
    token TEXT UNIQUE,
    created_at TEXT NOT NULL,
    -- Tasks with a vote of theirs, second passes too, and when they changed anything last
    votes INTEGER NOT NULL DEFAULT 0,
    at TEXT
  );
  INSERT INTO person (id, name, role, created_at) VALUES (0, '"owner"', 'own', '');

  CREATE TABLE project (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    guidelines TEXT NOT NULL,
    settings TEXT NOT NULL,
    created_at TEXT NOT NULL
  );
  CREATE TABLE member (
    project INTEGER NOT NULL REFERENCES project ON DELETE CASCADE,
    person INTEGER NOT NULL REFERENCES person,
    PRIMARY KEY (project, person)
  ) WITHOUT ROWID;

  -- What changes and is sorted by; the texts are in task_text
  CREATE TABLE task (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    project INTEGER NOT NULL REFERENCES project ON DELETE CASCADE,
    position INTEGER NOT NULL,
    -- The place in the order in which tasks are given out
    queue REAL NOT NULL,
    -- SHA-256 of prompt and responses
    content TEXT NOT NULL,
    -- Characters of each response
    lengths TEXT NOT NULL,
    gold TEXT,
    -- 1: regular work that still needs votes
    open INTEGER NOT NULL,
    votes INTEGER NOT NULL DEFAULT 0,
    skips INTEGER NOT NULL DEFAULT 0,
    state TEXT NOT NULL DEFAULT 'open',
    disagreement REAL,
    seconds REAL,
    at TEXT,
    UNIQUE (project, content)
  );
  CREATE INDEX task_queue ON task (project, queue, id) WHERE open = 1;
  CREATE INDEX task_gold ON task (project, queue, id) WHERE gold IS NOT NULL;
  CREATE INDEX task_position ON task (project, position);
  CREATE INDEX task_state ON task (project, state, position);
  CREATE INDEX task_disagreement ON task (project, disagreement, position);
  CREATE INDEX task_votes ON task (project, votes, position);
  CREATE INDEX task_seconds ON task (project, seconds, position);
  CREATE INDEX task_at ON task (project, at, position);
  CREATE TABLE task_text (
    task INTEGER PRIMARY KEY REFERENCES task ON DELETE CASCADE,
    prompt TEXT NOT NULL,
    responses TEXT NOT NULL,
    -- The beginning of the prompt, for lists
    title TEXT NOT NULL
  );
  CREATE TABLE score (
    task INTEGER NOT NULL REFERENCES task ON DELETE CASCADE,
    name TEXT NOT NULL,
    scores TEXT NOT NULL,
    PRIMARY KEY (task, name)
  ) WITHOUT ROWID;
  CREATE TABLE prediction (
    task INTEGER NOT NULL REFERENCES task ON DELETE CASCADE,
    maker TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (task, maker)
  ) WITHOUT ROWID;

  CREATE TABLE vote (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    project INTEGER NOT NULL REFERENCES project ON DELETE CASCADE,
    task INTEGER NOT NULL REFERENCES task ON DELETE CASCADE,
    person INTEGER NOT NULL REFERENCES person,
    kind TEXT NOT NULL,
    -- 0: the first pass over the task, 1: the second, 2: the decision of an adjudicator
    pass INTEGER NOT NULL,
    value TEXT NOT NULL,
    shown TEXT NOT NULL,
    seconds REAL NOT NULL,
    reason TEXT,
    at TEXT NOT NULL,
    -- Of a conflict: it is kept, but somebody was first
    refused INTEGER NOT NULL DEFAULT 0,
    -- Of an undo: what it takes back
    undoes INTEGER
  );
  CREATE INDEX vote_task ON vote (task, id);
  CREATE INDEX vote_person ON vote (project, person, id);
  CREATE INDEX vote_undoes ON vote (undoes) WHERE undoes IS NOT NULL;

  -- What each person says now, by pass; an adjudicator's decision stands under person -1
  CREATE TABLE current (
    task INTEGER NOT NULL REFERENCES task ON DELETE CASCADE,
    person INTEGER NOT NULL,
    pass INTEGER NOT NULL,
    project INTEGER NOT NULL,
    vote INTEGER NOT NULL,
    kind TEXT NOT NULL,
    seconds REAL NOT NULL,
    at TEXT NOT NULL,
    PRIMARY KEY (task, person, pass)
  ) WITHOUT ROWID;
  CREATE INDEX current_person ON current (project, person, pass, kind, vote, seconds, at);
  -- Counts the changes of a person to a task, undone ones too
  CREATE TABLE version (
    task INTEGER NOT NULL REFERENCES task ON DELETE CASCADE,
    person INTEGER NOT NULL,
    pass INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (task, person, pass)
  ) WITHOUT ROWID;
  CREATE TABLE draft (
    task INTEGER NOT NULL REFERENCES task ON DELETE CASCADE,
    person INTEGER NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (task, person)
  ) WITHOUT ROWID;
  -- Tasks to be shown to the same person again, once so many tasks were done
  CREATE TABLE again (
    project INTEGER NOT NULL REFERENCES project ON DELETE CASCADE,
    person INTEGER NOT NULL,
    task INTEGER NOT NULL,
    after INTEGER NOT NULL,
    due INTEGER NOT NULL,
    PRIMARY KEY (project, person, task)
  ) WITHOUT ROWID;
  -- Changes that were made, by the id of their request
  CREATE TABLE request (
    person INTEGER NOT NULL,
    id TEXT NOT NULL,
    what TEXT NOT NULL,
    answer TEXT NOT NULL,
    at TEXT NOT NULL,
    PRIMARY KEY (person, id)
  ) WITHOUT ROWID;
  `,
]
