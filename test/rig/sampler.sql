-- Each statement finds what must never be seen in a snapshot, one row a violation: (subject, detail). Written for PostgreSQL and SQLite alike.
-- {changed} stands for the jobs to look at: those that are open, were open at the last look, or have new entries; at the end it stands for all.

-- rule: credits conserved
SELECT namespace_id AS subject,
  'granted ' || CAST(granted AS text) || ', but ' || CAST(available AS text) || ' + ' || CAST(reserved AS text) || ' + ' || CAST(spent AS text) AS detail
FROM credit_balance
WHERE granted <> available + reserved + spent OR available < 0 OR reserved < 0 OR spent < 0;

-- rule: entries sum
SELECT job.id AS subject,
  job.state || ': reserved ' || CAST(job.reserved AS text) || ', charged ' || CAST(job.charged AS text) || '; entries '
    || CAST(e.reserves AS text) || '/' || CAST(e.settles AS text) || '/' || CAST(e.refunds AS text) || ' of '
    || CAST(e.reserved AS text) || '/' || CAST(e.settled AS text) || '/' || CAST(e.refunded AS text) AS detail
FROM job JOIN (
  SELECT job_id,
    sum(CASE kind WHEN 'reserve' THEN 1 ELSE 0 END) AS reserves,
    sum(CASE kind WHEN 'settle' THEN 1 ELSE 0 END) AS settles,
    sum(CASE kind WHEN 'refund' THEN 1 ELSE 0 END) AS refunds,
    sum(CASE kind WHEN 'reserve' THEN amount ELSE 0 END) AS reserved,
    sum(CASE kind WHEN 'settle' THEN amount ELSE 0 END) AS settled,
    sum(CASE kind WHEN 'refund' THEN amount ELSE 0 END) AS refunded
  FROM credit_entry WHERE job_id IN ({changed}) GROUP BY job_id
) AS e ON e.job_id = job.id
WHERE e.reserves <> 1 OR e.reserved <> job.reserved
  OR (e.settles + e.refunds > 0 AND (e.settled + e.refunded <> e.reserved OR e.settled <> job.charged));

-- rule: at most one settlement
SELECT job_id AS subject, kind || ' ' || CAST(count(*) AS text) || ' times' AS detail
FROM credit_entry WHERE job_id IN ({changed}) AND kind IN ('settle', 'refund') GROUP BY job_id, kind HAVING count(*) > 1;

-- rule: terminal and settled are one
SELECT job.id AS subject, job.state || ' with ' || CAST(count(e.kind) AS text) || ' settlements' AS detail
FROM job LEFT JOIN credit_entry AS e ON e.job_id = job.id AND e.kind = 'settle'
WHERE job.id IN ({changed})
GROUP BY job.id, job.state
HAVING (job.state NOT IN ('queued', 'active')) <> (count(e.kind) > 0);

-- rule: history gap-free
SELECT job.id AS subject,
  CAST(job.events AS text) || ' events counted, ' || CAST(count(e.seq) AS text) || ' there, up to ' || CAST(max(e.seq) AS text) AS detail
FROM job LEFT JOIN job_event AS e ON e.job_id = job.id
WHERE job.id IN ({changed})
GROUP BY job.id, job.events
HAVING count(e.seq) <> job.events OR max(e.seq) <> job.events OR min(e.seq) <> 1;

-- rule: history legal
SELECT later.job_id AS subject,
  'event ' || CAST(later.seq AS text) || ' from ' || coalesce(later.from_state, 'nothing') || ' to ' || later.to_state || ' after ' || coalesce(earlier.to_state, 'nothing') AS detail
FROM job_event AS later LEFT JOIN job_event AS earlier ON earlier.job_id = later.job_id AND earlier.seq = later.seq - 1
WHERE later.job_id IN ({changed}) AND NOT (
  (earlier.seq IS NULL AND later.seq = 1 AND later.from_state IS NULL AND later.to_state = 'queued')
  OR (later.from_state = earlier.to_state AND (
    (later.from_state = 'queued' AND later.to_state IN ('active', 'failed', 'expired', 'cancelled'))
    OR (later.from_state = 'active' AND later.to_state IN ('active', 'queued', 'completed', 'failed', 'timed_out', 'cancelled'))
  ))
);

-- rule: row is its history
SELECT job.id AS subject, job.state || ' epoch ' || CAST(job.epoch AS text) || ', last event to ' || e.to_state || ' epoch ' || CAST(e.epoch AS text) AS detail
FROM job JOIN job_event AS e ON e.job_id = job.id AND e.seq = job.events
WHERE job.id IN ({changed}) AND (e.to_state <> job.state OR e.epoch <> job.epoch OR e.attempt <> job.attempt);

-- rule: epochs grow
SELECT later.job_id AS subject, 'event ' || CAST(later.seq AS text) || ': epoch ' || CAST(later.epoch AS text) || ' after ' || CAST(earlier.epoch AS text) AS detail
FROM job_event AS later JOIN job_event AS earlier ON earlier.job_id = later.job_id AND earlier.seq = later.seq - 1
WHERE later.job_id IN ({changed})
  AND (later.attempt < earlier.attempt OR later.epoch <> earlier.epoch + (CASE WHEN later.to_state = 'active' THEN 1 ELSE 0 END));

-- rule: reserved explained
SELECT b.namespace_id AS subject,
  CAST(b.reserved AS text) || ' reserved for ' || CAST(b.open_jobs AS text) || ' jobs, ' || CAST(coalesce(o.reserved, 0) AS text) || ' of ' || CAST(coalesce(o.jobs, 0) AS text) || ' open ones' AS detail
FROM credit_balance AS b LEFT JOIN (
  SELECT namespace_id, sum(reserved) AS reserved, count(*) AS jobs FROM job WHERE finished_at IS NULL GROUP BY namespace_id
) AS o ON o.namespace_id = b.namespace_id
WHERE b.reserved <> coalesce(o.reserved, 0) OR b.open_jobs <> coalesce(o.jobs, 0);

-- rule: owner lives
SELECT job.id AS subject, job.state || ' owned by ' || coalesce(job.owner, 'nobody') AS detail
FROM job LEFT JOIN daemon ON daemon.id = job.owner
WHERE job.id IN ({changed}) AND (job.state = 'active') <> (daemon.id IS NOT NULL);

-- rule: charge bounded
SELECT id AS subject, state || ' charged ' || CAST(charged AS text) || ' of ' || CAST(reserved AS text) AS detail
FROM job
WHERE id IN ({changed}) AND (charged < 0 OR charged > reserved OR (charged > 0 AND state NOT IN ('completed', 'cancelled')));
