/** The name of a segment of the archive: it follows from what the segment holds. */
import * as Schema from "effect/Schema"

export const SegmentId = Schema.String.check(Schema.isPattern(/^seg_[0-9a-f]{32}$/)).pipe(Schema.brand("SegmentId"))
export type SegmentId = typeof SegmentId.Type
