-- One definition for all databases; migrate.rs replaces the words in braces:
--   {uuid} {text} {name} {int} {small} {real} {bytes} {serial}  column types
--   {clustered}     the table is stored in the order of its primary key
--   {unsuccessful}  the index leaves out successes, where an index can

-- What was asked. Written once; a change before the start and a soft delete are the only updates.
CREATE TABLE tasks (
    id {uuid} NOT NULL PRIMARY KEY,
    user_id {uuid} NOT NULL,
    handler {name} NOT NULL,
    queue {name} NOT NULL,
    priority {small} NOT NULL,
    name {text},
    task_type {text},
    args {text},
    kwargs {text},
    max_attempts {small} NOT NULL,
    timeout_ms {int},
    soft_timeout_ms {int},
    backoff {text},
    expires_at {int},
    tags {text},
    metadata {text},
    model_id {text},
    unique_key {text},
    parent_id {uuid},
    schedule_id {uuid},
    workflow_id {uuid},
    -- Errors of other types end it at once; JSON, absent for all.
    retry_on {text},
    -- Where among the ready it stands: by priority, then by its user's turn.
    band {int} NOT NULL,
    -- What its claim or end concerns besides itself: most have none, and nobody then need look for it.
    ties {small} NOT NULL,
    -- How many it was submitted with: most have none, and nobody then need look for them.
    parents {small} NOT NULL,
    created_at {int} NOT NULL,
    deleted_at {int}
);
CREATE INDEX tasks_by_user ON tasks (user_id, id);

CREATE TABLE task_tags (
    tag {name} NOT NULL,
    task_id {uuid} NOT NULL,
    PRIMARY KEY (tag, task_id)
) {clustered};

-- A live task stands in exactly one of the next six.
CREATE TABLE blocked (
    id {uuid} NOT NULL PRIMARY KEY,
    deps_left {small} NOT NULL,
    run_at {int},
    epoch {small} NOT NULL,
    attempt {small} NOT NULL,
    crashes {small} NOT NULL,
    refunds {small} NOT NULL
) {clustered};

CREATE TABLE scheduled (
    id {uuid} NOT NULL PRIMARY KEY,
    run_at {int} NOT NULL,
    reason {name} NOT NULL,
    epoch {small} NOT NULL,
    attempt {small} NOT NULL,
    crashes {small} NOT NULL,
    refunds {small} NOT NULL
) {clustered};
CREATE INDEX scheduled_by_time ON scheduled (run_at, id);

-- Waits for a permit of a limit, in the order in which the limit lets them in.
CREATE TABLE limited (
    gate {name} NOT NULL,
    band {int} NOT NULL,
    id {uuid} NOT NULL,
    epoch {small} NOT NULL,
    attempt {small} NOT NULL,
    crashes {small} NOT NULL,
    refunds {small} NOT NULL,
    PRIMARY KEY (gate, band, id)
) {clustered};
CREATE UNIQUE INDEX limited_by_task ON limited (id);

-- The claim's only scan. Ids are UUIDv7, so equals go by age. The band begins with the priority below zero: the key then
-- ascends, and no database needs a descending one.
CREATE TABLE ready (
    queue {name} NOT NULL,
    band {int} NOT NULL,
    id {uuid} NOT NULL,
    epoch {small} NOT NULL,
    attempt {small} NOT NULL,
    crashes {small} NOT NULL,
    refunds {small} NOT NULL,
    PRIMARY KEY (queue, band, id)
) {clustered};

CREATE TABLE running (
    id {uuid} NOT NULL PRIMARY KEY,
    epoch {small} NOT NULL,
    attempt {small} NOT NULL,
    crashes {small} NOT NULL,
    refunds {small} NOT NULL,
    session {uuid} NOT NULL,
    lease_until {int} NOT NULL,
    deadline {int},
    started_at {int} NOT NULL,
    cancel {small} NOT NULL,
    progress {real} NOT NULL,
    detail {text},
    logged {small} NOT NULL,
    ties {small} NOT NULL
) {clustered};

CREATE TABLE outcomes (
    id {uuid} NOT NULL PRIMARY KEY,
    state {name} NOT NULL,
    reason {name},
    epoch {small} NOT NULL,
    attempt {small} NOT NULL,
    refunds {small} NOT NULL,
    session {uuid},
    started_at {int},
    finished_at {int} NOT NULL,
    progress {real} NOT NULL,
    detail {text},
    result {text},
    error {text}
) {clustered};
-- Failures are what people look for, and few; successes are walked to by id.
CREATE INDEX outcomes_unsuccessful ON outcomes (state, id) {unsuccessful};
-- With the state, so that pruning reads no row that it keeps.
CREATE INDEX outcomes_by_time ON outcomes (finished_at, id, state);

-- Ended attempts, but for the success that ended its task: that one is in outcomes.
CREATE TABLE attempts (
    task_id {uuid} NOT NULL,
    epoch {small} NOT NULL,
    attempt {small} NOT NULL,
    session {uuid},
    started_at {int} NOT NULL,
    ended_at {int} NOT NULL,
    outcome {name} NOT NULL,
    error {text},
    PRIMARY KEY (task_id, epoch)
) {clustered};

CREATE TABLE edges (
    parent_id {uuid} NOT NULL,
    child_id {uuid} NOT NULL,
    policy {name} NOT NULL,
    is_open {small} NOT NULL,
    PRIMARY KEY (parent_id, child_id)
) {clustered};
CREATE INDEX edges_by_child ON edges (child_id, parent_id);

CREATE TABLE workflows (
    id {uuid} NOT NULL PRIMARY KEY,
    user_id {uuid} NOT NULL,
    name {text},
    created_at {int} NOT NULL,
    -- Nothing joins it any more, until somebody retries it.
    cancelled_at {int}
);
CREATE INDEX workflows_by_user ON workflows (user_id, id);

-- Workflows of which somebody cancels the tasks, page by page; whoever finds one after that time goes on.
CREATE TABLE cancelling (
    workflow_id {uuid} NOT NULL PRIMARY KEY,
    is_forced {small} NOT NULL,
    resume_at {int} NOT NULL
) {clustered};
CREATE INDEX cancelling_by_time ON cancelling (resume_at);

-- The tasks of a workflow: its nodes have a key, the children of a map its key and their place, and those that handlers
-- submitted neither.
CREATE TABLE workflow_tasks (
    workflow_id {uuid} NOT NULL,
    task_id {uuid} NOT NULL,
    node {name},
    item {int},
    PRIMARY KEY (workflow_id, task_id)
) {clustered};

-- Tasks that expire, so that the sweep need not look at those that do not.
CREATE TABLE expiries (
    expires_at {int} NOT NULL,
    id {uuid} NOT NULL,
    PRIMARY KEY (expires_at, id)
) {clustered};

-- Tasks that users deleted, until they are forgotten.
CREATE TABLE deletions (
    deleted_at {int} NOT NULL,
    id {uuid} NOT NULL,
    PRIMARY KEY (deleted_at, id)
) {clustered};

-- Limits that tasks name, and how much of each is taken.
CREATE TABLE gates (
    gate {name} NOT NULL PRIMARY KEY,
    -- At once; or in so many microseconds.
    most {int} NOT NULL,
    per_us {int} NOT NULL,
    held {int} NOT NULL,
    -- When the bucket is full again.
    full_at {int} NOT NULL,
    -- When the next that waits may start; absent if none waits, or none for a time.
    wake_at {int},
    used_at {int} NOT NULL
) {clustered};
CREATE INDEX gates_by_time ON gates (wake_at);
CREATE INDEX gates_by_use ON gates (used_at);

-- Who holds a permit of a gate.
CREATE TABLE permits (
    gate {name} NOT NULL,
    task_id {uuid} NOT NULL,
    PRIMARY KEY (gate, task_id)
) {clustered};
CREATE INDEX permits_by_task ON permits (task_id);

-- Which gates a task has to pass.
CREATE TABLE task_gates (
    task_id {uuid} NOT NULL,
    place {small} NOT NULL,
    gate {name} NOT NULL,
    PRIMARY KEY (task_id, place)
) {clustered};
CREATE INDEX task_gates_by_gate ON task_gates (gate);

-- Queues that somebody has paused or limited.
CREATE TABLE queues (
    name {name} NOT NULL PRIMARY KEY,
    paused_at {int},
    max_running {int},
    rate_count {int},
    rate_us {int},
    -- Paused or limited: the common claim leaves it out.
    is_special {small} NOT NULL,
    held {int} NOT NULL,
    full_at {int} NOT NULL
) {clustered};

CREATE TABLE idempotency (
    user_id {uuid} NOT NULL,
    idem_key {name} NOT NULL,
    request_hash {bytes} NOT NULL,
    task_ids {text} NOT NULL,
    created_at {int} NOT NULL,
    PRIMARY KEY (user_id, idem_key)
) {clustered};
CREATE INDEX idempotency_by_time ON idempotency (created_at);

-- Checked at submission only: a key whose task has ended and whose time is over is free, and is overwritten then.
CREATE TABLE unique_keys (
    user_id {uuid} NOT NULL,
    unique_key {name} NOT NULL,
    task_id {uuid} NOT NULL,
    -- Taken until then also by a task that has ended; absent: until it ends.
    until_at {int},
    PRIMARY KEY (user_id, unique_key)
) {clustered};
CREATE INDEX unique_keys_by_task ON unique_keys (task_id);
CREATE INDEX unique_keys_by_time ON unique_keys (until_at);

-- Which task answers the same call again. Looked at by submissions only: whether it may is told by the task itself.
CREATE TABLE cache (
    user_id {uuid} NOT NULL,
    signature {name} NOT NULL,
    task_id {uuid} NOT NULL,
    handler {name} NOT NULL,
    ttl_us {int} NOT NULL,
    refreshed_at {int} NOT NULL,
    -- The time to live from then on: no earlier can it be forgotten.
    until_at {int} NOT NULL,
    PRIMARY KEY (user_id, signature)
) {clustered};
CREATE INDEX cache_by_task ON cache (task_id);
CREATE INDEX cache_by_time ON cache (until_at);

-- What a handler's workers want for tasks that leave it open.
CREATE TABLE handlers (
    name {name} NOT NULL PRIMARY KEY,
    defaults {text} NOT NULL,
    updated_at {int} NOT NULL
) {clustered};

CREATE TABLE logs (
    seq {serial},
    task_id {uuid} NOT NULL,
    at {int} NOT NULL,
    level {name} NOT NULL,
    message {text} NOT NULL
);
CREATE INDEX logs_by_task ON logs (task_id, seq);

CREATE TABLE artifacts (
    task_id {uuid} NOT NULL,
    name {name} NOT NULL,
    epoch {small} NOT NULL,
    bytes {int} NOT NULL,
    sha256 {name} NOT NULL,
    content_type {text} NOT NULL,
    created_at {int} NOT NULL,
    PRIMARY KEY (task_id, name)
) {clustered};

CREATE TABLE workers (
    session {uuid} NOT NULL PRIMARY KEY,
    name {name} NOT NULL,
    queues {text} NOT NULL,
    handlers {text} NOT NULL,
    concurrency {int} NOT NULL,
    version {text} NOT NULL,
    embedded {int} NOT NULL,
    started_at {int} NOT NULL,
    last_seen {int} NOT NULL,
    draining {int} NOT NULL,
    left_at {int}
) {clustered};

-- Health checks write here: a database that can only be read is not healthy.
CREATE TABLE pulse (
    id {int} NOT NULL PRIMARY KEY,
    beats {int} NOT NULL
);
INSERT INTO pulse (id, beats) VALUES (1, 0);

CREATE TABLE users (
    id {uuid} NOT NULL PRIMARY KEY,
    username {name} NOT NULL,
    -- The name in lower case: Admin is not another user than admin.
    name_key {name} NOT NULL UNIQUE,
    email {text},
    password_hash {text} NOT NULL,
    role {name} NOT NULL,
    is_active {int} NOT NULL,
    token_version {int} NOT NULL,
    created_at {int} NOT NULL
);

CREATE TABLE logins (
    id {uuid} NOT NULL PRIMARY KEY,
    user_id {uuid} NOT NULL,
    refresh_hash {bytes} NOT NULL,
    created_at {int} NOT NULL,
    expires_at {int} NOT NULL,
    revoked_at {int}
) {clustered};
CREATE INDEX logins_by_user ON logins (user_id);
CREATE INDEX logins_by_time ON logins (expires_at);

CREATE TABLE api_keys (
    id {uuid} NOT NULL PRIMARY KEY,
    user_id {uuid} NOT NULL,
    name {text} NOT NULL,
    scopes {text} NOT NULL,
    secret_hash {bytes} NOT NULL,
    created_at {int} NOT NULL,
    expires_at {int},
    revoked_at {int}
);
CREATE INDEX api_keys_by_user ON api_keys (user_id);

-- Its next tick is null while it is paused, deleted or at its end. Every change raises the version: whoever decides about
-- ticks writes only if nobody was first.
CREATE TABLE schedules (
    id {uuid} NOT NULL PRIMARY KEY,
    user_id {uuid} NOT NULL,
    name {text} NOT NULL,
    handler {name} NOT NULL,
    -- All that was asked for, as JSON; the columns beside it are for queries.
    definition {text} NOT NULL,
    kind {name} NOT NULL,
    enabled {small} NOT NULL,
    -- What intervals are counted from.
    anchor_at {int} NOT NULL,
    version {int} NOT NULL,
    next_at {int},
    -- The last tick that was decided about: no later decision looks at an earlier one, whatever the clock does.
    last_tick {int},
    last_run_at {int},
    last_task_id {uuid},
    fired {int} NOT NULL,
    skipped {int} NOT NULL,
    created_at {int} NOT NULL,
    updated_at {int} NOT NULL,
    deleted_at {int}
);
CREATE INDEX schedules_by_user ON schedules (user_id, id);
CREATE INDEX schedules_by_time ON schedules (next_at, id);

-- What became of each tick; written with its task.
CREATE TABLE ticks (
    schedule_id {uuid} NOT NULL,
    tick {int} NOT NULL,
    outcome {name} NOT NULL,
    reason {name},
    task_id {uuid},
    decided_at {int} NOT NULL,
    PRIMARY KEY (schedule_id, tick)
) {clustered};
CREATE INDEX ticks_by_time ON ticks (decided_at);

-- Tasks of schedules that had not ended when somebody looked last. Looked through when a tick comes only, so that finishing
-- a task never touches it.
CREATE TABLE schedule_tasks (
    schedule_id {uuid} NOT NULL,
    task_id {uuid} NOT NULL,
    PRIMARY KEY (schedule_id, task_id)
) {clustered};
