/**
 * The tables of jobs and credits. What must never be broken is kept by the database itself: a balance moves by its entries and by nothing else,
 * a job's entries close its reservation exactly or are refused, a row makes legal moves only. No column holds text of a request or an answer.
 * Amounts are whole micro-credits; instants are epoch milliseconds; ids compare by their bytes, as everywhere else in the house.
 */
import { appendOnly, type Migration } from "./Migration.ts"

// One row a namespace, made with it. open_jobs stands here because an admission locks this row anyway.
const balance = [
  `CREATE TABLE credit_balance (
  namespace_id text COLLATE "C" PRIMARY KEY REFERENCES namespace (id),
  granted bigint NOT NULL DEFAULT 0 CHECK (granted >= 0),
  available bigint NOT NULL DEFAULT 0 CHECK (available >= 0),
  reserved bigint NOT NULL DEFAULT 0 CHECK (reserved >= 0),
  spent bigint NOT NULL DEFAULT 0 CHECK (spent >= 0),
  open_jobs integer NOT NULL DEFAULT 0 CHECK (open_jobs >= 0),
  CHECK (available + reserved + spent = granted)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000)`,
  `CREATE FUNCTION namespace_opens_balance() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO credit_balance (namespace_id) VALUES (NEW.id) ON CONFLICT DO NOTHING;
  RETURN NULL;
END $$`,
  `CREATE TRIGGER opens_balance AFTER INSERT ON namespace FOR EACH ROW EXECUTE FUNCTION namespace_opens_balance()`,
  `INSERT INTO credit_balance (namespace_id) SELECT id FROM namespace ON CONFLICT DO NOTHING`
]

// facts: what never changes after admission, as JSON. The columns beside it are those that guards and indexes need.
const job = [
  `CREATE TABLE job (
  id text COLLATE "C" PRIMARY KEY,
  namespace_id text COLLATE "C" NOT NULL REFERENCES credit_balance (namespace_id),
  facts text NOT NULL,
  lane text COLLATE "C" NOT NULL,
  reserved bigint NOT NULL CHECK (reserved >= 0),
  accepted_at bigint NOT NULL,
  deadline_at bigint NOT NULL,
  state text NOT NULL
    CHECK (state IN ('queued', 'active', 'completed', 'failed', 'timed_out', 'expired', 'cancelled')),
  owner text COLLATE "C" REFERENCES daemon (id),
  epoch integer NOT NULL DEFAULT 0 CHECK (epoch >= 0),
  attempt integer NOT NULL DEFAULT 0 CHECK (attempt BETWEEN 0 AND epoch),
  failures integer NOT NULL DEFAULT 0 CHECK (failures >= 0),
  crashes integer NOT NULL DEFAULT 0 CHECK (crashes >= 0),
  node_id text,
  run_at bigint NOT NULL,
  prompt_tokens bigint NOT NULL DEFAULT 0 CHECK (prompt_tokens >= 0),
  output_tokens bigint NOT NULL DEFAULT 0 CHECK (output_tokens >= 0),
  charged bigint NOT NULL DEFAULT 0 CHECK (charged BETWEEN 0 AND reserved),
  error_code text,
  finished_at bigint,
  events integer NOT NULL DEFAULT 1 CHECK (events >= 1),
  CHECK ((state = 'active') = (owner IS NOT NULL)),
  CHECK ((state IN ('queued', 'active')) = (finished_at IS NULL))
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02)`,
  `CREATE INDEX job_due ON job (deadline_at, id) WHERE finished_at IS NULL`,
  `CREATE INDEX job_waiting ON job (id, run_at) WHERE state = 'queued'`,
  `CREATE INDEX job_lane ON job (lane, accepted_at) WHERE state = 'queued'`,
  `CREATE INDEX job_owned ON job (owner, id) WHERE state = 'active'`,
  `CREATE FUNCTION job_move_is_refused() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'job % cannot go from % (epoch %) to % (epoch %)', OLD.id, OLD.state, OLD.epoch, NEW.state, NEW.epoch
    USING ERRCODE = 'check_violation';
END $$`,
  // As a condition of the trigger it costs no call, unless it is to be refused.
  `CREATE TRIGGER legal_moves_only BEFORE UPDATE ON job FOR EACH ROW
  WHEN (NOT (
    (OLD.state = 'queued' AND NEW.state IN ('active', 'failed', 'expired', 'cancelled')
      OR OLD.state = 'active' AND NEW.state IN ('active', 'queued', 'completed', 'failed', 'timed_out', 'cancelled'))
    AND NEW.epoch = OLD.epoch + CASE NEW.state WHEN 'active' THEN 1 ELSE 0 END
    AND NEW.attempt BETWEEN OLD.attempt AND OLD.attempt + CASE NEW.state WHEN 'active' THEN 1 ELSE 0 END
    AND NEW.events = OLD.events + 1
    AND (NEW.charged = 0 OR NEW.finished_at IS NOT NULL)
    AND NEW.id = OLD.id AND NEW.namespace_id = OLD.namespace_id AND NEW.facts = OLD.facts AND NEW.lane = OLD.lane
    AND NEW.reserved = OLD.reserved AND NEW.accepted_at = OLD.accepted_at AND NEW.deadline_at = OLD.deadline_at
  )) EXECUTE FUNCTION job_move_is_refused()`,
  `CREATE FUNCTION job_beginning_is_refused() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'job % cannot begin % (epoch %)', NEW.id, NEW.state, NEW.epoch USING ERRCODE = 'check_violation';
END $$`,
  `CREATE TRIGGER begins_queued BEFORE INSERT ON job FOR EACH ROW
  WHEN (NEW.state <> 'queued' OR NEW.epoch <> 0 OR NEW.attempt <> 0 OR NEW.charged <> 0 OR NEW.events <> 1)
  EXECUTE FUNCTION job_beginning_is_refused()`
]

const history = [
  `CREATE TABLE job_event (
  job_id text COLLATE "C" NOT NULL REFERENCES job (id),
  seq integer NOT NULL CHECK (seq >= 1),
  kind text NOT NULL CHECK (kind IN ('admitted', 'claimed', 'adopted', 'released', 'finished')),
  from_state text,
  to_state text NOT NULL,
  epoch integer NOT NULL,
  attempt integer NOT NULL,
  daemon_id text,
  node_id text,
  code text,
  at bigint NOT NULL,
  PRIMARY KEY (job_id, seq),
  CHECK ((kind = 'admitted') = (from_state IS NULL)),
  CHECK ((kind = 'admitted') = (seq = 1))
)`,
  ...appendOnly("job_event")
]

// job_id: the job that this row, to a lane, tells of; only such rows make a waiting job wait for the relay.
// Rows come and go, so what is dead is cleared away by number and not by share.
const messages = [
  `CREATE TABLE outbox (
  seq bigint GENERATED ALWAYS AS IDENTITY,
  id text COLLATE "C" PRIMARY KEY,
  target text NOT NULL,
  envelope text NOT NULL,
  job_id text COLLATE "C",
  created_at bigint NOT NULL,
  due_at bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 20000)`,
  `CREATE INDEX outbox_due ON outbox (due_at, seq)`,
  `CREATE INDEX outbox_of_job ON outbox (job_id) WHERE job_id IS NOT NULL`,
  `CREATE TABLE idempotency_key (
  namespace_id text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  body_hash text NOT NULL,
  job_id text COLLATE "C" NOT NULL REFERENCES job (id),
  expires_at bigint NOT NULL,
  PRIMARY KEY (namespace_id, key)
)`,
  `CREATE INDEX idempotency_key_expiry ON idempotency_key (expires_at)`
]

// What an entry refers to is held by its trigger, which also compares the amounts: a foreign key a row would cost as much as all the rest.
const entries = [
  `CREATE TABLE credit_entry (
  seq bigint GENERATED ALWAYS AS IDENTITY,
  namespace_id text COLLATE "C" NOT NULL,
  kind text NOT NULL CHECK (kind IN ('grant', 'reserve', 'settle', 'refund')),
  amount bigint NOT NULL CHECK (amount >= 0),
  job_id text COLLATE "C",
  reference text COLLATE "C",
  at bigint NOT NULL,
  PRIMARY KEY (namespace_id, seq),
  CHECK ((kind = 'grant') = (job_id IS NULL)),
  CHECK ((kind = 'grant') = (reference IS NOT NULL))
)`,
  // A job is reserved once, settled once, refunded once.
  `CREATE UNIQUE INDEX credit_entry_once ON credit_entry (job_id, kind) WHERE job_id IS NOT NULL`,
  `CREATE UNIQUE INDEX credit_entry_grant ON credit_entry (namespace_id, reference) WHERE reference IS NOT NULL`,
  // Double entry: each entry moves its amount from one account to another, and the balances move with it, here and nowhere else. What is reserved
  // is what the job's row says, and what closes the reservation must be all of it, at once: so the entries of an ended job sum to zero.
  `CREATE FUNCTION credit_entry_moves_balance() RETURNS trigger LANGUAGE plpgsql
  SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE wrong text; payers integer; changed integer;
BEGIN
  SELECT entry.job_id INTO wrong
  FROM (SELECT job_id, namespace_id,
      sum(amount) FILTER (WHERE kind = 'reserve') AS reserved,
      sum(amount) FILTER (WHERE kind = 'settle') AS settled,
      sum(amount) FILTER (WHERE kind = 'refund') AS refunded
    FROM fresh WHERE job_id IS NOT NULL GROUP BY job_id, namespace_id) AS entry
  LEFT JOIN job ON job.id = entry.job_id AND job.namespace_id = entry.namespace_id
  LEFT JOIN credit_entry AS opened ON opened.job_id = entry.job_id AND opened.kind = 'reserve'
  WHERE job.id IS NULL OR opened.job_id IS NULL OR entry.reserved <> job.reserved
    OR coalesce(entry.settled, entry.refunded) IS NOT NULL AND (
      job.finished_at IS NULL OR entry.settled IS DISTINCT FROM job.charged
      OR coalesce(entry.refunded, 0) <> job.reserved - job.charged)
  LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'the entries of job % do not sum to zero', wrong USING ERRCODE = 'check_violation';
  END IF;
  UPDATE credit_balance AS stored SET
    granted = stored.granted + moved.granted,
    available = stored.available + moved.granted + moved.refunded - moved.reserved,
    reserved = stored.reserved + moved.reserved - moved.settled - moved.refunded,
    spent = stored.spent + moved.settled,
    open_jobs = stored.open_jobs + moved.opened - moved.ended
  FROM (SELECT namespace_id,
      coalesce(sum(amount) FILTER (WHERE kind = 'grant'), 0) AS granted,
      coalesce(sum(amount) FILTER (WHERE kind = 'reserve'), 0) AS reserved,
      coalesce(sum(amount) FILTER (WHERE kind = 'settle'), 0) AS settled,
      coalesce(sum(amount) FILTER (WHERE kind = 'refund'), 0) AS refunded,
      count(*) FILTER (WHERE kind = 'reserve') AS opened,
      count(*) FILTER (WHERE kind = 'settle') AS ended
    FROM fresh GROUP BY namespace_id) AS moved
  WHERE stored.namespace_id = moved.namespace_id;
  GET DIAGNOSTICS changed = ROW_COUNT;
  SELECT count(DISTINCT namespace_id) INTO payers FROM fresh;
  IF changed <> payers THEN
    RAISE EXCEPTION 'an entry names a namespace without a balance' USING ERRCODE = 'foreign_key_violation';
  END IF;
  RETURN NULL;
END $$`,
  `CREATE FUNCTION balance_change_is_refused() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'a balance moves by its entries only' USING ERRCODE = 'integrity_constraint_violation';
END $$`,
  // A condition, so that the entries' own update pays for no call.
  `CREATE TRIGGER by_entries_only BEFORE UPDATE OR DELETE ON credit_balance FOR EACH ROW
  WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION balance_change_is_refused()`,
  `CREATE TRIGGER moves_balance AFTER INSERT ON credit_entry REFERENCING NEW TABLE AS fresh
  FOR EACH STATEMENT EXECUTE FUNCTION credit_entry_moves_balance()`,
  ...appendOnly("credit_entry")
]

export const jobs: Migration = { name: "jobs", statements: [...balance, ...job, ...history, ...messages, ...entries] }
