/**
 * The OpenAPI document of a listener and the page to read it on. The page carries its script with it, because a daemon may run where there
 * is no other network; it is put together on the first visit, since it is some megabytes.
 */
import * as Effect from "effect/Effect"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as HttpRouter from "effect/http/HttpRouter"
import type * as HttpApi from "effect/http-api/HttpApi"
import type * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiScalar from "effect/http-api/HttpApiScalar"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Schema from "effect/Schema"
import { Problem } from "../schemas/openai/Problem.ts"
import { open } from "./Route.ts"

type Fields = Record<string, unknown>

const METHODS = new Set(["get", "post", "delete"])

/** What all operations share: how to show the key, and what every failure looks like. */
export const withCommon = (document: Fields): Fields => {
  const components = (document["components"] ?? {}) as Record<string, Fields>
  const paths = document["paths"] as Record<string, Record<string, Fields>>
  for (const [path, operations] of Object.entries(paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      if (!METHODS.has(method)) continue
      operation["responses"] = {
        ...(operation["responses"] as Fields),
        default: { $ref: "#/components/responses/Problem" }
      }
      if (path.startsWith("/v1/") || path.startsWith("/control/")) operation["security"] = [{ key: [] }]
    }
  }
  for (const name of OPEN_BODIES) {
    const schema = components["schemas"]?.[name]
    if (typeof schema === "object" && schema !== null) Object.assign(schema, { additionalProperties: true })
  }
  return {
    ...document,
    components: {
      ...components,
      responses: {
        Problem: {
          description:
            "Refused, or failed. `code` is stable; `x-should-retry` and `Retry-After` say whether to try again.",
          content: { "application/json": { schema: { $ref: "#/components/schemas/Problem" } } }
        }
      },
      schemas: { ...components["schemas"], Problem: problemSchema },
      securitySchemes: { key: { type: "http", scheme: "bearer" } }
    }
  }
}

/** Fields that these do not name travel to the runtime as they are. */
const OPEN_BODIES = ["ChatRequest", "CompletionRequest", "EmbeddingsRequest"]

const problemSchema = Schema.toJsonSchemaDocument(Problem).definitions["Problem"]

const CONTENT_POLICY =
  "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: 'self'; font-src data:; connect-src 'self'"

export const makeDocumentRoutes = <Id extends string, Groups extends HttpApiGroup.Constraint>(
  api: HttpApi.HttpApi<Id, Groups>
) =>
  Effect.gen(function* () {
    const text = JSON.stringify(OpenApi.fromApi(api))
    const page = yield* Effect.cached(
      Effect.scoped(
        Effect.gen(function* () {
          const scalar = HttpApiScalar.layer(api, { path: "/docs", scalar: { withDefaultFonts: false } })
          return yield* yield* HttpRouter.toHttpEffect(scalar)
        })
      ).pipe(Effect.orDie)
    )
    return {
      openapi: open(() => Effect.succeed(HttpServerResponse.text(text, { contentType: "application/json" }))),
      docs: open(() =>
        Effect.map(page, (response) =>
          HttpServerResponse.setHeader(response, "content-security-policy", CONTENT_POLICY)
        )
      )
    }
  })
