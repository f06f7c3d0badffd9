/** Bytes as lower-case hexadecimal: hashes, keys and signatures have one spelling. */
import * as Schema from "effect/Schema"

export const Hex = (bytes: number) => Schema.String.check(Schema.isPattern(new RegExp(`^[0-9a-f]{${bytes * 2}}$`)))
