/** Who may import whom. One row a room; what is not written here is forbidden. The sentences behind it stand in ARCHITECTURE.md. */
const doors = "^src/layers/[^/]+\\.ts$" // a contract stands at the door; its back ends are in the rooms behind
const rooms = {
  "^src/schemas/": ["^src/schemas/"],
  "^src/policies/": ["^src/schemas/", "^src/policies/"],
  "^src/kernel/": ["^src/kernel/"],
  // Blocks of snapshots, for daemons and for whoever reads them without one.
  "^src/snapshots/": ["^src/(schemas|policies|snapshots)/", doors],
  [doors]: ["^src/schemas/", doors],
  "^src/layers/([^/]+)/": ["^src/schemas/", doors, "^src/layers/$1/"],
  "^src/actors/[^/]+\\.ts$": ["^src/(schemas|policies|kernel)/", doors, "^src/actors/[^/]+\\.ts$"],
  "^src/actors/job/": [
    "^src/(schemas|policies|kernel)/",
    doors,
    "^src/actors/(job/|[^/]+\\.ts$)",
    "^src/actors/dispatch/DispatchMessages\\.ts$",
    "^src/actors/node/NodeMessages\\.ts$"
  ],
  "^src/actors/(dispatch|node|sweep)/": ["^src/(schemas|policies|kernel)/", doors, "^src/actors/($1/|[^/]+\\.ts$)"],
  "^src/actors/sweep/SnapshotSweeper\\.ts$": ["^src/snapshots/Snapshots\\.ts$"],
  "^src/actors/sweep/SweepSupervisor\\.ts$": ["^src/snapshots/Snapshots\\.ts$"],
  // The upkeep of quality reaches the gate and the nodes where everybody else does.
  "^src/actors/quality/": [
    "^src/(schemas|policies|kernel)/",
    doors,
    "^src/actors/(quality/|[^/]+\\.ts$)",
    "^src/actors/job/Admission\\.ts$",
    "^src/actors/node/NodeSupervisor\\.ts$"
  ],
  "^src/http/": [
    "^src/schemas/",
    doors,
    "^src/http/",
    "^src/kernel/Registry\\.ts$",
    "^src/actors/(LongWork|ReceiptDesk|Root)\\.ts$",
    "^src/actors/job/(Admission|JobStreams)\\.ts$",
    "^src/actors/node/NodeSupervisor\\.ts$",
    "^src/actors/sweep/(SweepSupervisor|SweepReport)\\.ts$",
    "^src/snapshots/(Snapshots|Blocks)\\.ts$"
  ],
  // The agent signs what the daemon verifies, and keeps its key in a folder as a daemon does.
  "^src/agent/": ["^src/schemas/", "^src/agent/", "^src/layers/(Signatures|PrivateFolder)\\.ts$"],
  "^src/cli/": ["^src/schemas/", "^src/cli/"],
  // What a receipt must hold is said once, and checked here without a daemon.
  "^src/cli/receipt/": ["^src/layers/ReceiptCheck\\.ts$"],
  // Segments are read without a daemon: what one is stands at the door, where they are in `ArchivePlaces`.
  "^src/cli/archive/": ["^src/ArchivePlaces\\.ts$", "^src/layers/(Archive|Outage)\\.ts$"],
  // Snapshots too, and a restore fills a store before there is a daemon.
  "^src/cli/snapshot/": [
    "^src/(ArchivePlaces|SnapshotStores)\\.ts$",
    "^src/snapshots/",
    "^src/layers/(Archive|Outage)\\.ts$"
  ],
  "^src/SnapshotStores\\.ts$": [
    "^src/DaemonOptions\\.ts$",
    "^src/layers/(Outage|StateRows)\\.ts$",
    "^src/layers/(sqlite/(SqliteClient|SqliteStateRows)|postgres/(PgClient|PgStateRows))\\.ts$"
  ],
  "^src/ArchivePlaces\\.ts$": [
    "^src/DaemonOptions\\.ts$",
    "^src/layers/(Archive|Outage|files/FileArchive|s3/S3Archive)\\.ts$"
  ],
  "^src/Backends\\.ts$": ["^src/layers/"],
  "^src/Servers\\.ts$": ["^src/(Backends|DaemonOptions)\\.ts$"],
  // Examines the back ends that a daemon would use, and uses none.
  "^src/Doctor\\.ts$": [
    "^src/schemas/",
    "^src/DaemonOptions\\.ts$",
    "^src/layers/Diagnosis\\.ts$",
    "^src/layers/[^/]+/[A-Z][A-Za-z0-9]*Diagnosis\\.ts$"
  ],
  "^src/Telemetry\\.ts$": [doors],
  "^src/DaemonOptions\\.ts$": ["^src/schemas/"],
  "^src/Bootstrap\\.ts$": ["^src/schemas/", doors],
  "^src/SimulatedNodes\\.ts$": ["^src/schemas/", "^src/agent/"],
  "^src/Orchestrator\\.ts$": ["^src/(kernel|actors)/", "^src/snapshots/Snapshots\\.ts$", "^src/http/(Server|Restarts)\\.ts$", doors],
  "^src/main\\.ts$": ["^src/[A-Z][A-Za-z]+\\.ts$", "^src/http/Server\\.ts$", "^src/schemas/", doors]
}

/** Which packages are kept behind which door. */
const packages = {
  "^(node:)?sqlite$": "^src/layers/sqlite/",
  "node_modules/(pg|@effect/sql-pg|effect/dist/sql)/": "^src/layers/postgres/",
  "node_modules/mongodb/": "^src/layers/mongodb/",
  "node_modules/ioredis/": "^src/layers/redis/",
  "node_modules/amqplib/": "^src/layers/rabbitmq/",
  "node_modules/ws/": "^src/(http|agent)/",
  "node_modules/effect/dist/(http|http-api)/": "^src/((http|agent|cli)/|Telemetry\\.ts$)",
  "node_modules/aws4fetch/": "^src/layers/s3/",
  "node_modules/(@ipld|multiformats)/": "^src/(snapshots|cli/snapshot)/",
  "node_modules/hyparquet": "^src/schemas/ParquetRows\\.ts$",
  "node_modules/@noble/": "^src/(agent/|layers/Signatures\\.ts$)",
  "node_modules/@effect/platform-node/": "^src/(main\\.ts$|http/|agent/|cli/)"
}

const ENTRIES = "^src/(main|Doctor|cli/main|agent/main)\\.ts$"

// oxlint-disable-next-line import/no-default-export -- the tool wants it so
export default {
  allowed: [
    ...Object.entries(rooms).flatMap(([from, tos]) => tos.map((path) => ({ from: { path: from }, to: { path } }))),
    { from: {}, to: { pathNot: "^(src|test|scripts|bench)/" } }
  ],
  allowedSeverity: "error",
  forbidden: [
    { name: "no-circular", severity: "error", from: {}, to: { circular: true } },
    {
      name: "alive",
      severity: "error",
      from: { path: ENTRIES },
      to: { path: "^src/", pathNot: `^src/layers/memory/|${ENTRIES}`, reachable: false }
    },
    ...Object.entries(packages).map(([to, from]) => ({
      name: "package-behind-its-door",
      severity: "error",
      from: { path: "^src/", pathNot: from },
      to: { path: to }
    }))
  ],
  options: {
    parser: "swc", // without this line the tool reads no TypeScript at all and reports success
    tsPreCompilationDeps: true,
    doNotFollow: { path: "node_modules" },
    enhancedResolveOptions: {
      extensions: [".ts", ".js"],
      exportsFields: ["exports"],
      conditionNames: ["import", "node", "default"]
    }
  }
}
