/**
 * Of a job that has ended the end user's tag may go, when an erasure asks for it; nothing else of such a row ever changes. The trigger's condition stays
 * as it is: what it does not know comes to its function, which lets this one change through.
 */
import type { Migration } from "./Migration.ts"

/** A quote within a text of the facts has a backslash before it, so this is the field and no text that looks like it. */
const withoutTag = (facts: string) =>
  String.raw`regexp_replace(${facts}, '"clientTag":"([^"\\]|\\.)*"', '"clientTag":null')`

export const forgottenTags: Migration = {
  name: "tags of end users that are forgotten",
  statements: [
    `CREATE FUNCTION forget_tags(ids text[]) RETURNS void LANGUAGE sql AS $$
  UPDATE job SET facts = ${withoutTag("facts")} WHERE id IN (
    SELECT id FROM job WHERE id = ANY (ids) AND finished_at IS NOT NULL AND facts <> ${withoutTag("facts")} ORDER BY id FOR UPDATE)
$$`,
    `CREATE OR REPLACE FUNCTION job_move_is_refused() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  OLD.facts := ${withoutTag("OLD.facts")};
  IF OLD.finished_at IS NOT NULL AND NEW IS NOT DISTINCT FROM OLD THEN RETURN NEW; END IF;
  RAISE EXCEPTION 'job % cannot go from % (epoch %) to % (epoch %)', OLD.id, OLD.state, OLD.epoch, NEW.state, NEW.epoch
    USING ERRCODE = 'check_violation';
END $$`
  ]
}
