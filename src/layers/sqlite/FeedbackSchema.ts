/** Feedback stands in the evaluation of its job's record, so that it leaves with it; this index finds it by when it was given. */

/** The index and the statements must say this in the same words. */
export const GIVEN_AT = "json_extract(evaluation, '$.feedback.at')"

export const feedbackSchema = `
CREATE INDEX record_by_feedback ON record (${GIVEN_AT}) WHERE ${GIVEN_AT} IS NOT NULL;
`
