/**
 * Columns as parameters and back. A batch travels as one array a column, always with its element type said: an array of nothing but nulls has none
 * that could be inferred. `int8` comes back as bigint; instants and counts are exact as numbers.
 */
import * as PgTypes from "@effect/sql-pg/PgTypes"
import * as Result from "effect/Result"
import type { Credits } from "../../schemas/Credits.ts"

export type Parameter = PgTypes.Parameter

const array =
  (elements: number) =>
  (values: ReadonlyArray<unknown>): Parameter =>
    Result.getOrThrow(PgTypes.array(values, elements))

export const texts: (values: ReadonlyArray<string | null>) => Parameter = array(PgTypes.OID.text)
export const integers: (values: ReadonlyArray<number | null>) => Parameter = array(PgTypes.OID.int4)
export const flags: (values: ReadonlyArray<boolean>) => Parameter = array(PgTypes.OID.bool)

const bigints: (values: ReadonlyArray<bigint | null>) => Parameter = array(PgTypes.OID.int8)
export const amounts: (values: ReadonlyArray<Credits>) => Parameter = bigints

/** Epoch milliseconds, or counts that may pass 2^31. */
export const wholes = (values: ReadonlyArray<number | null>): Parameter =>
  bigints(values.map((value) => (value === null ? null : BigInt(value))))

export const text = PgTypes.text

/** Epoch milliseconds, a count, a limit. */
export const whole = (value: number): Parameter => PgTypes.int8(BigInt(value))

export const amount: (value: Credits) => Parameter = PgTypes.int8

/** A limit as SQL takes it: at least nothing. */
export const limited = (limit: number): Parameter => PgTypes.int8(BigInt(Math.max(0, Math.trunc(limit))))

export const number: (value: number) => Parameter = PgTypes.float8

/** null where there is none. */
export const maybeText = (value: string | null): Parameter | null => (value === null ? null : text(value))
export const maybeWhole = (value: number | null): Parameter | null => (value === null ? null : whole(value))

/** Text that a person wrote, as a column can hold it: NUL and lone surrogates are escaped. */
export const freeText = (value: string): Parameter => text(JSON.stringify(value))
export const fromFreeText = (stored: string): string => JSON.parse(stored) as string
