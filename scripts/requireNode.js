// The tests run the TypeScript sources as they are, which needs the Node that comes as a dependency.
const MAJOR_MIN = 24
if (Number(process.versions.node.split(".")[0]) < MAJOR_MIN) {
  process.stderr.write(
    `Node ${MAJOR_MIN} is needed, this is ${process.version}: run npm ci without --ignore-scripts.\n`
  )
  process.exit(1)
}
