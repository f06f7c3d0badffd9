/**
 * The moves of many jobs at once, one function each, so that a batch is one statement, one round trip and one transaction. An item's guard is
 * decided here and told as a verdict: no item fails another. Locks are taken in one order everywhere, balances by namespace and then jobs by id, so
 * batches of several daemons wait for each other and do not deadlock. A signature never changes: a new shape is a new name, since daemons of
 * two versions call them side by side. Joins are forced along the indexes: the plan of a function is kept while its tables grow.
 */
import { WITHDRAWN } from "../../JobStore.ts"
import type { Migration } from "./Migration.ts"

const ROW = `facts text, state text, owner text, epoch integer, attempt integer, failures integer, crashes integer, node_id text,
  run_at bigint, prompt_tokens bigint, output_tokens bigint, charged bigint, error_code text, finished_at bigint`

const columnsOf = (table: string) =>
  ROW.split(",")
    .map((column) => `${table}.${column.trim().split(" ")[0]}`)
    .join(", ")

const define = (
  name: string,
  parameters: string,
  locals: string,
  body: string
) => `CREATE FUNCTION ${name}(${parameters})
RETURNS TABLE (place integer, verdict text, ${ROW}, open_jobs integer, available bigint)
LANGUAGE plpgsql SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
#variable_conflict use_column
DECLARE ${locals}
BEGIN ${body} END $$`

/** Admissions of one namespace are decided one after the other, in the order they came, against what is left of its balance. */
const admit = define(
  "admit_jobs",
  `ids text[], namespace_ids text[], job_facts text[], lanes text[], amounts bigint[], accepted bigint[], deadlines bigint[],
  message_ids text[], envelopes text[], keys text[], body_hashes text[], key_ends bigint[], open_max integer[], again boolean[]`,
  `
  verdicts text[] := array_fill(NULL::text, ARRAY[cardinality(ids)]);
  firsts text[] := verdicts;
  opens integer[] := array_fill(NULL::integer, ARRAY[cardinality(ids)]);
  lefts bigint[] := array_fill(NULL::bigint, ARRAY[cardinality(ids)]);
  item record; earlier record; payer text; rest bigint; unfinished integer;`,
  `
  PERFORM FROM credit_balance WHERE namespace_id = ANY (namespace_ids) ORDER BY namespace_id FOR NO KEY UPDATE;
  FOR item IN
    SELECT asked.*, same.id AS same_id, known.job_id AS known_id, known.body_hash AS known_hash,
      credit_balance.available AS stored_available, credit_balance.open_jobs AS stored_open
    FROM unnest(ids, namespace_ids, amounts, accepted, keys, body_hashes, open_max, again) WITH ORDINALITY
      AS asked (id, namespace_id, amount, at, key, body_hash, open_max, again, place)
    LEFT JOIN job AS same ON same.id = asked.id
    LEFT JOIN idempotency_key AS known
      ON known.namespace_id = asked.namespace_id AND known.key = asked.key AND known.expires_at > asked.at
      AND NOT EXISTS (SELECT FROM job AS first WHERE first.id = known.job_id AND first.error_code = '${WITHDRAWN}')
    LEFT JOIN credit_balance ON credit_balance.namespace_id = asked.namespace_id
    ORDER BY asked.namespace_id, asked.place
  LOOP
    IF item.namespace_id IS DISTINCT FROM payer THEN
      payer := item.namespace_id;
      rest := item.stored_available;
      unfinished := item.stored_open;
    END IF;
    IF item.again AND item.same_id IS NULL THEN
      SELECT before.id = item.id AS same, before.id, before.body_hash INTO earlier
      FROM unnest(verdicts, ids, namespace_ids, keys, body_hashes, key_ends)
        AS before (verdict, id, namespace_id, key, body_hash, key_end)
      WHERE before.verdict = 'created' AND (before.id = item.id
        OR before.namespace_id = item.namespace_id AND before.key = item.key AND before.key_end > item.at)
      ORDER BY 1 DESC LIMIT 1;
      IF FOUND AND earlier.same THEN
        item.same_id := earlier.id;
      ELSIF FOUND THEN
        item.known_id := earlier.id;
        item.known_hash := earlier.body_hash;
      END IF;
    END IF;
    IF item.same_id IS NOT NULL THEN
      verdicts[item.place] := 'known';
      firsts[item.place] := item.same_id;
    ELSIF item.known_id IS NOT NULL THEN
      verdicts[item.place] := CASE WHEN item.known_hash = item.body_hash THEN 'known' ELSE 'mismatch' END;
      firsts[item.place] := item.known_id;
    ELSIF rest IS NULL THEN
      verdicts[item.place] := 'nobody';
    ELSIF unfinished >= item.open_max THEN
      verdicts[item.place] := 'overloaded';
    ELSIF rest < item.amount THEN
      verdicts[item.place] := 'insufficient';
    ELSE
      verdicts[item.place] := 'created';
      rest := rest - item.amount;
      unfinished := unfinished + 1;
    END IF;
    opens[item.place] := unfinished;
    lefts[item.place] := rest;
  END LOOP;

  INSERT INTO job (id, namespace_id, facts, lane, reserved, accepted_at, deadline_at, state, run_at)
  SELECT id, namespace_id, facts, lane, amount, at, deadline, 'queued', at
  FROM unnest(verdicts, ids, namespace_ids, job_facts, lanes, amounts, accepted, deadlines)
    AS asked (verdict, id, namespace_id, facts, lane, amount, at, deadline)
  WHERE verdict = 'created' ORDER BY id;

  INSERT INTO job_event (job_id, seq, kind, to_state, epoch, attempt, at)
  SELECT id, 1, 'admitted', 'queued', 0, 0, at FROM unnest(verdicts, ids, accepted) AS asked (verdict, id, at)
  WHERE verdict = 'created';

  INSERT INTO credit_entry (namespace_id, kind, amount, job_id, at)
  SELECT namespace_id, 'reserve', amount, id, at
  FROM unnest(verdicts, ids, namespace_ids, amounts, accepted) WITH ORDINALITY
    AS asked (verdict, id, namespace_id, amount, at, place)
  WHERE verdict = 'created' ORDER BY place;

  INSERT INTO outbox (id, target, envelope, job_id, created_at, due_at)
  SELECT message_id, '{"_tag":"Lane","lane":' || lane || '}', envelope, id, at, at
  FROM unnest(verdicts, ids, lanes, message_ids, envelopes, accepted) WITH ORDINALITY
    AS asked (verdict, id, lane, message_id, envelope, at, place)
  WHERE verdict = 'created' ORDER BY place
  ON CONFLICT (id) DO NOTHING;

  IF EXISTS (SELECT FROM unnest(keys) AS key WHERE key IS NOT NULL) THEN
    INSERT INTO idempotency_key AS kept (namespace_id, key, body_hash, job_id, expires_at)
    SELECT namespace_id, key, body_hash, id, key_end
    FROM unnest(verdicts, ids, namespace_ids, keys, body_hashes, key_ends)
      AS asked (verdict, id, namespace_id, key, body_hash, key_end)
    WHERE verdict = 'created' AND key IS NOT NULL ORDER BY namespace_id, key
    ON CONFLICT (namespace_id, key) DO UPDATE
      SET body_hash = excluded.body_hash, job_id = excluded.job_id, expires_at = excluded.expires_at;
    -- Each new key carries two expired ones out, so the table does not grow with time. Last, and never waiting: no deadlock can come of it.
    DELETE FROM idempotency_key WHERE ctid = ANY (ARRAY(
      SELECT old.ctid FROM idempotency_key AS old WHERE old.expires_at <= (SELECT min(at) FROM unnest(accepted) AS at)
      ORDER BY old.expires_at LIMIT 2 * cardinality(ids) FOR UPDATE SKIP LOCKED));
  END IF;

  RETURN QUERY
  SELECT asked.place::integer, asked.verdict, ${columnsOf("job")}, asked.open_jobs, asked.available
  FROM unnest(verdicts, firsts, opens, lefts) WITH ORDINALITY AS asked (verdict, first_id, open_jobs, available, place)
  LEFT JOIN job ON job.id = asked.first_id AND asked.verdict = 'known';
`
)

/**
 * Moves of jobs that exist. A job may be in a batch more than once: each of its items has another round, and a round sees what those before it did.
 * `asked` gives the items of a round with their verdicts, and `move` what becomes of those whose verdict is `moved`.
 */
const moves = (name: string, parameters: string, locks: string, asked: string, move: string) =>
  define(
    name,
    `rounds integer[], ids text[], ${parameters}`,
    "turn integer;",
    `
  ${locks}
  PERFORM FROM job WHERE id = ANY (ids) ORDER BY id FOR NO KEY UPDATE;
  FOR turn IN 1 .. (SELECT max(round) FROM unnest(rounds) AS round) LOOP
    RETURN QUERY
    WITH asked AS MATERIALIZED (${asked}),
    ${move}
    SELECT moved.place::integer, 'moved', ${columnsOf("moved")}, NULL::integer, NULL::bigint FROM moved
    UNION ALL
    SELECT asked.place::integer, asked.verdict, ${columnsOf("asked")}, NULL, NULL FROM asked WHERE asked.verdict <> 'moved';
  END LOOP;
`
  )

const event = (kind: string, daemon: string, code: string) => `
    told AS (
      INSERT INTO job_event (job_id, seq, kind, from_state, to_state, epoch, attempt, daemon_id, node_id, code, at)
      SELECT moved.id, moved.events, ${kind}, moved.before, moved.state, moved.epoch, moved.attempt, ${daemon}, moved.node_id,
        ${code}, moved.at
      FROM moved
    )`

const claim = moves(
  "claim_jobs",
  `daemon_ids text[], node_ids text[], epochs integer[], failure_counts integer[], from_ids text[], crashed boolean[], ats bigint[]`,
  "",
  `
      SELECT job.*, asked.place, asked.daemon_id, asked.new_node_id, asked.new_failures, asked.crashed, asked.at,
        CASE
          WHEN job.id IS NULL THEN 'unknown'
          WHEN job.finished_at IS NOT NULL THEN 'ended'
          WHEN claimer.state IS DISTINCT FROM 'live' THEN 'dead'
          WHEN job.owner IS NOT NULL AND job.owner <> asked.daemon_id AND job.owner IS DISTINCT FROM asked.from_id
            AND holder.state = 'live' THEN 'owned'
          WHEN job.epoch <> asked.epoch_seen THEN 'epoch'
          ELSE 'moved'
        END AS verdict
      FROM unnest(rounds, ids, daemon_ids, node_ids, epochs, failure_counts, from_ids, crashed, ats) WITH ORDINALITY
        AS asked (round, id, daemon_id, new_node_id, epoch_seen, new_failures, from_id, crashed, at, place)
      LEFT JOIN job ON job.id = asked.id
      LEFT JOIN daemon AS claimer ON claimer.id = asked.daemon_id
      LEFT JOIN daemon AS holder ON holder.id = job.owner
      WHERE asked.round = turn`,
  `moved AS (
      UPDATE job SET state = 'active', owner = asked.daemon_id, epoch = job.epoch + 1,
        attempt = job.attempt + CASE WHEN asked.new_node_id IS NULL THEN 0 ELSE 1 END,
        failures = asked.new_failures, crashes = job.crashes + CASE WHEN asked.crashed THEN 1 ELSE 0 END,
        node_id = coalesce(asked.new_node_id, job.node_id), events = job.events + 1
      FROM asked WHERE job.id = asked.id AND asked.verdict = 'moved'
      RETURNING job.*, asked.place, asked.at, asked.state AS before, asked.new_node_id
    ), ${event("CASE WHEN moved.new_node_id IS NULL THEN 'adopted' ELSE 'claimed' END", "moved.owner", "NULL")}`
)

const held = `job.state = 'active' AND job.owner = asked.daemon_id AND job.epoch = asked.epoch_held AND holder.state = 'live'`

/** Only a claim raises the epoch, so a queued row with an epoch was released from it; by whom, its last event tells. */
const release = moves(
  "release_jobs",
  `daemon_ids text[], epochs integer[], run_ats bigint[], codes text[], message_ids text[], envelopes text[], ats bigint[]`,
  "",
  `
      SELECT job.*, asked.place, asked.daemon_id, asked.new_run_at, asked.code, asked.message_id, asked.envelope, asked.at,
        CASE
          WHEN job.id IS NULL THEN 'stale'
          WHEN job.state = 'queued' AND job.epoch = asked.epoch_held AND job.run_at = asked.new_run_at
            AND (SELECT daemon_id FROM job_event WHERE job_id = job.id AND seq = job.events) = asked.daemon_id THEN 'repeated'
          WHEN ${held} THEN 'moved'
          ELSE 'stale'
        END AS verdict
      FROM unnest(rounds, ids, daemon_ids, epochs, run_ats, codes, message_ids, envelopes, ats) WITH ORDINALITY
        AS asked (round, id, daemon_id, epoch_held, new_run_at, code, message_id, envelope, at, place)
      LEFT JOIN job ON job.id = asked.id
      LEFT JOIN daemon AS holder ON holder.id = asked.daemon_id
      WHERE asked.round = turn`,
  `moved AS (
      UPDATE job SET state = 'queued', owner = NULL, run_at = asked.new_run_at, events = job.events + 1
      FROM asked WHERE job.id = asked.id AND asked.verdict = 'moved'
      RETURNING job.*, asked.place, asked.at, asked.state AS before, asked.daemon_id, asked.code, asked.message_id, asked.envelope
    ), ${event("'released'", "moved.daemon_id", "moved.code")}, promised AS (
      INSERT INTO outbox (id, target, envelope, job_id, created_at, due_at)
      SELECT message_id, '{"_tag":"Lane","lane":' || lane || '}', envelope, id, at, greatest(at, run_at) FROM moved
      ON CONFLICT (id) DO NOTHING
    )`
)

/** `settled` closes the reservation in one statement, which the entries' own trigger holds it to. */
const finish = moves(
  "finish_jobs",
  `daemon_ids text[], epochs integer[], states text[], charges bigint[], prompt_counts bigint[], output_counts bigint[],
  node_ids text[], codes text[], message_ids text[], envelopes text[], ats bigint[]`,
  `PERFORM FROM credit_balance WHERE namespace_id = ANY (ARRAY(SELECT DISTINCT namespace_id FROM job WHERE id = ANY (ids)))
    ORDER BY namespace_id FOR NO KEY UPDATE;`,
  `
      SELECT job.*, asked.place, asked.daemon_id, asked.new_state, asked.charge, asked.prompts, asked.outputs, asked.new_node_id,
        asked.code, asked.message_id, asked.envelope, asked.at,
        CASE
          WHEN job.id IS NULL THEN 'stale'
          WHEN asked.charge > job.reserved THEN 'overcharge'
          WHEN job.state = asked.new_state AND job.epoch = asked.epoch_held THEN 'repeated'
          WHEN CASE WHEN asked.daemon_id IS NULL THEN job.state = 'queued' AND job.epoch = asked.epoch_held ELSE coalesce(${held}, false) END
            THEN CASE
              WHEN asked.new_state IN ('failed', 'cancelled') OR asked.new_state = 'expired' AND job.state = 'queued'
                OR asked.new_state IN ('completed', 'timed_out') AND job.state = 'active' THEN 'moved'
              ELSE 'illegal'
            END
          ELSE 'stale'
        END AS verdict
      FROM unnest(rounds, ids, daemon_ids, epochs, states, charges, prompt_counts, output_counts, node_ids, codes, message_ids,
          envelopes, ats) WITH ORDINALITY
        AS asked (round, id, daemon_id, epoch_held, new_state, charge, prompts, outputs, new_node_id, code, message_id, envelope, at, place)
      LEFT JOIN job ON job.id = asked.id
      LEFT JOIN daemon AS holder ON holder.id = asked.daemon_id
      WHERE asked.round = turn`,
  `moved AS (
      UPDATE job SET state = asked.new_state, owner = NULL, node_id = coalesce(asked.new_node_id, job.node_id),
        prompt_tokens = asked.prompts, output_tokens = asked.outputs, charged = asked.charge, error_code = asked.code,
        finished_at = asked.at, events = job.events + 1
      FROM asked WHERE job.id = asked.id AND asked.verdict = 'moved'
      RETURNING job.*, asked.place, asked.at, asked.state AS before, asked.daemon_id, asked.message_id, asked.envelope
    ), ${event("'finished'", "moved.daemon_id", "moved.error_code")}, settled AS (
      INSERT INTO credit_entry (namespace_id, kind, amount, job_id, at)
      SELECT moved.namespace_id, entry.kind, entry.amount, moved.id, moved.at
      FROM moved CROSS JOIN LATERAL (VALUES (1, 'settle', moved.charged), (2, 'refund', moved.reserved - moved.charged))
        AS entry (seq, kind, amount)
      WHERE entry.kind = 'settle' OR entry.amount > 0 ORDER BY moved.place, entry.seq
    ), promised AS (
      INSERT INTO outbox (id, target, envelope, created_at, due_at)
      SELECT message_id, '{"_tag":"Topic","topic":"job"}', envelope, at, at FROM moved
      ON CONFLICT (id) DO NOTHING
    )`
)

/** Not durable by itself: a row that comes back after a power failure is published twice, which it may be. */
const sent = `CREATE FUNCTION outbox_sent(ids text[]) RETURNS void LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);
  DELETE FROM outbox WHERE id = ANY (ARRAY(SELECT id FROM outbox WHERE id = ANY (ids) ORDER BY id FOR UPDATE));
END $$`

/** A grant of a name that is known changes nothing. What an account cannot hold is refused before anything is written. */
const grant = `CREATE FUNCTION grant_credits(payer text, amount bigint, reference text, at bigint)
RETURNS TABLE (verdict text, granted bigint, available bigint, reserved bigint, spent bigint)
LANGUAGE plpgsql SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE held bigint; told text;
BEGIN
  SELECT granted INTO held FROM credit_balance WHERE namespace_id = payer FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    told := 'nobody';
  ELSIF EXISTS (SELECT FROM credit_entry WHERE namespace_id = payer AND credit_entry.reference = grant_credits.reference) THEN
    told := 'known';
  ELSIF grant_credits.amount < 0 OR grant_credits.amount > 9223372036854775807 - held THEN
    told := 'unfit';
  ELSE
    told := 'granted';
    INSERT INTO credit_entry (namespace_id, kind, amount, reference, at)
    VALUES (payer, 'grant', grant_credits.amount, grant_credits.reference, grant_credits.at);
  END IF;
  RETURN QUERY SELECT told, granted, available, reserved, spent FROM (SELECT) AS one
    LEFT JOIN credit_balance ON namespace_id = payer;
END $$`

export const jobMoves: Migration = { name: "moves of jobs", statements: [admit, claim, release, finish, sent, grant] }
