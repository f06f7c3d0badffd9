// Asked by the health check: begins the replica set of one when there is none yet, and says whether it takes writes.
const { MONGO_INITDB_ROOT_USERNAME: user, MONGO_INITDB_ROOT_PASSWORD: password } = process.env
const url = `mongodb://${user}:${encodeURIComponent(password)}@127.0.0.1:27017/admin?directConnection=true&serverSelectionTimeoutMS=5000`
db = connect(url)
try {
  rs.status()
} catch (cause) {
  if (cause.codeName !== "NotYetInitialized") throw cause
  rs.initiate({ _id: "rs0", members: [{ _id: 0, host: "mongodb:27017" }] })
}
quit(db.hello().isWritablePrimary ? 0 : 1)
