/** One step of the schema, and what steps share. A list of statements, because the server takes one statement at a time. */

export interface Migration {
  readonly name: string
  readonly statements: ReadonlyArray<string>
}

/** The name of the trigger by which a table's rows are written once; the privileges of a runtime role follow it. */
export const APPEND_ONLY = "append_only"

/** What is history refuses UPDATE, DELETE and TRUNCATE, also from a shell. A trigger a statement, so inserts cost nothing more. */
export const appendOnly = (table: string): ReadonlyArray<string> => [
  `CREATE FUNCTION ${table}_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '${table} is append-only' USING ERRCODE = 'integrity_constraint_violation';
END $$`,
  `CREATE TRIGGER ${APPEND_ONLY} BEFORE UPDATE OR DELETE OR TRUNCATE ON ${table}
  FOR EACH STATEMENT EXECUTE FUNCTION ${table}_is_append_only()`
]
