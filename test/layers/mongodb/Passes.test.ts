/** Retention and erasure over MongoDB: the laws that hold over any stores, kills included. */
import { Layer } from "effect"
import * as MemoryArchive from "../../../src/layers/memory/MemoryArchive.ts"
import * as MemoryRecords from "../../../src/layers/memory/MemoryRecords.ts"
import * as MongoRecords from "../../../src/layers/mongodb/MongoRecords.ts"
import * as SqliteClient from "../../../src/layers/sqlite/SqliteClient.ts"
import * as SqliteState from "../../../src/layers/sqlite/SqliteState.ts"
import { erasureLaws } from "../../actors/sweep/erasureLaws.ts"
import { retentionLaws } from "../../actors/sweep/retentionLaws.ts"
import { freshDatabase, withMongo } from "./MongoRig.ts"
import { testNetworkKey } from "../../support/networkKey.ts"

withMongo("passes over MongoDB", () => {
  const options = freshDatabase()
  const stores = () =>
    Layer.mergeAll(
      MongoRecords.layer(options),
      SqliteState.layer.pipe(Layer.provide(SqliteClient.layer({ path: ":memory:" }))),
      MemoryArchive.layer.pipe(Layer.provide(MemoryRecords.layer)),
      testNetworkKey
    )
  retentionLaws("MongoDB", stores, 100)
  erasureLaws("MongoDB", stores)
})
