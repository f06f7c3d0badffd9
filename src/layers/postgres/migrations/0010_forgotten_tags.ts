/**
 * Of a job that has ended the end user's tag may go, when an erasure asks for it; nothing else of such a row ever changes. The condition of the trigger
 * says what is meant by that in the words of the statement that does it.
 */
import type { Migration } from "./Migration.ts"

/** A quote within a text of the facts has a backslash before it, so this is the field and no text that looks like it. */
const withoutTag = (facts: string) =>
  String.raw`regexp_replace(${facts}, '"clientTag":"([^"\\]|\\.)*"', '"clientTag":null')`

const COLUMNS = `id, namespace_id, lane, reserved, accepted_at, deadline_at, state, owner, epoch, attempt, failures, crashes, node_id, run_at,
  prompt_tokens, output_tokens, charged, error_code, finished_at, events`

const of = (row: "OLD" | "NEW"): string =>
  `ROW(${COLUMNS.split(/,\s+/)
    .map((column) => `${row}.${column}`)
    .join(", ")})`

export const forgottenTags: Migration = {
  name: "tags of end users that are forgotten",
  statements: [
    `CREATE FUNCTION forget_tags(ids text[]) RETURNS void LANGUAGE sql AS $$
  UPDATE job SET facts = ${withoutTag("facts")} WHERE id IN (
    SELECT id FROM job WHERE id = ANY (ids) AND finished_at IS NOT NULL AND facts <> ${withoutTag("facts")} ORDER BY id FOR UPDATE)
$$`,
    `DROP TRIGGER legal_moves_only ON job`,
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
    OR OLD.finished_at IS NOT NULL AND ${of("NEW")} IS NOT DISTINCT FROM ${of("OLD")}
      AND NEW.facts = ${withoutTag("OLD.facts")}
  )) EXECUTE FUNCTION job_move_is_refused()`
  ]
}
