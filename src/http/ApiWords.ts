/** Words that the groups of the control listener have in common. */
import * as Schema from "effect/Schema"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as OpenApi from "effect/http-api/OpenApi"

export const { get, post } = HttpApiEndpoint
export const id = { id: Schema.String }
export const optional = Schema.optionalKey(Schema.String)
export const says = OpenApi.Summary

export const many = <S extends Schema.Top>(schema: S) => Schema.Struct({ data: Schema.Array(schema) })
export const Objects = many(Schema.JsonObject)
export const page = { after: optional, limit: optional }

/** An order's own fields with its reason, which may come in the header `x-reason` instead. */
export const order = <Fields extends Schema.Struct.Fields>(schema: Schema.Struct<Fields>) =>
  schema.pipe(Schema.fieldsAssign({ reason: Schema.optionalKey(Schema.String) }))
export const Reason = Schema.Struct({ reason: Schema.optionalKey(Schema.String) })
export const ByReason = { payload: Reason, success: Schema.JsonObject } as const
