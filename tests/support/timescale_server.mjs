// PostgreSQL with TimescaleDB in WebAssembly, over the wire on 127.0.0.1.
//
//   node timescale_server.mjs PACKAGE     PACKAGE is the folder of PGlite
//
// Prints its port, and ends when its input does. Any role may log in, with any password. A database
// is made by connecting to it. PGlite has one session: connections are served one after the other,
// each with a session as good as new.

import { createServer } from 'node:net'
import { pathToFileURL } from 'node:url'

const dist = pathToFileURL(`${process.argv[2]}/dist/`)
const { PGlite } = await import(new URL('index.js', dist))
const { timescaledb } = await import(new URL('timescaledb/index.js', dist))

const CANCEL = 80877102
const ENCRYPT = [80877103, 80877104]
const ENDS_A_TURN = 'QSHcf'
const databases = new Map()

async function database(name) {
  if (!databases.has(name)) {
    const db = await PGlite.create({ extensions: { timescaledb } })
    await db.exec('vacuum full pg_class') // its caches were filled in the middle of initdb
    databases.set(name, db)
  }
  return databases.get(name)
}

// Whole messages: the first ones have no type, and begin with their length.
async function* messages(socket) {
  let rest = Buffer.alloc(0)
  let type = 0
  for await (const data of socket.iterator({ destroyOnReturn: false })) {
    rest = Buffer.concat([rest, data])
    while (rest.length >= type + 4 && rest.length >= type + rest.readInt32BE(type)) {
      const message = rest.subarray(0, type + rest.readInt32BE(type))
      rest = rest.subarray(message.length)
      if (!type && ENCRYPT.includes(message.readInt32BE(4))) socket.write('N')
      else {
        type = 1
        yield message
      }
    }
  }
}

async function session(startup) {
  const words = startup.subarray(8).toString().split('\0')
  const named = (key) => words[words.indexOf(key) + 1]
  const db = await database(named('database'))
  await db.exec('rollback')
  await db.exec('discard all')
  await db.exec('set search_path to "$user", public')
  await db.exec(`set session authorization "${named('user').replaceAll('"', '""')}"`)
  return db
}

async function serve(socket) {
  let db
  let turn = []
  for await (const message of messages(socket)) {
    const type = String.fromCharCode(message[0])
    if (!db) {
      if (message.readInt32BE(4) === CANCEL) break
      db = await session(message)
      socket.write(await db.execProtocolRaw(message))
    } else if (type === 'p') socket.write(await db.execProtocolRaw(message))
    else if (type === 'X') break
    else {
      turn.push(message)
      if (!ENDS_A_TURN.includes(type)) continue
      socket.write(await db.execProtocolRaw(Buffer.concat(turn)))
      turn = []
    }
  }
  socket.end()
}

function fatal(problem) {
  const body = Buffer.from(`SFATAL\0VFATAL\0C28000\0M${problem.message}\0\0`)
  const head = Buffer.from('E\0\0\0\0')
  head.writeInt32BE(body.length + 4, 1)
  return Buffer.concat([head, body])
}

let before = Promise.resolve()
const server = createServer((socket) => {
  socket.on('error', () => {})
  before = before.then(() => serve(socket)).catch((problem) => socket.end(fatal(problem)))
})
server.listen(0, '127.0.0.1', () => console.log(server.address().port))
process.stdin.on('end', () => process.exit()).resume()
