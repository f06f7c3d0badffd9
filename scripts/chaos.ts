/** Faults on real processes and servers: `npm run chaos -- --help`. */
import { chaos } from "../test/rig/run.ts"

process.exit(await chaos(process.argv.slice(2)))
