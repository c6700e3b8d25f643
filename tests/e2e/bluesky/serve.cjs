// Serve a real Bluesky on 127.0.0.1 until standard input ends: PLC directory, PDS and AppView.
//
// Needs DB_POSTGRES_URL (with pg_trgm), DB_POSTGRES_SCHEMA, REDIS_HOST and BLUESKY_MODULES, in which
// `npm install` of the package.json beside this file was done. Prints one line of JSON: its URLs.
'use strict'

const { createRequire } = require('node:module')
const net = require('node:net')
const path = require('node:path')

// The servers would listen on every address of the machine; nobody beyond it shall reach them.
const listen = net.Server.prototype.listen
net.Server.prototype.listen = function (first, ...rest) {
  if (typeof first === 'object' && first !== null && 'port' in first) {
    return listen.call(this, { ...first, host: '127.0.0.1' }, ...rest)
  }
  if (typeof first === 'number') {
    const others = typeof rest[0] === 'string' ? rest.slice(1) : rest
    return listen.call(this, first, '127.0.0.1', ...others)
  }
  return listen.call(this, first, ...rest)
}

const modules = createRequire(path.join(process.env.BLUESKY_MODULES, 'package.json'))
const { TestBsky, TestPds, TestPlc, mockNetworkUtilities } = modules('@atproto/dev-env')

async function freePort() {
  const server = net.createServer()
  await new Promise((done) => server.listen(0, done))
  const { port } = server.address()
  await new Promise((done) => server.close(done))
  return port
}

async function main() {
  const plc = await TestPlc.create({})
  const pdsPort = await freePort()
  const bsky = await TestBsky.create({
    plcUrl: plc.url,
    pdsPort,
    repoProvider: `ws://localhost:${pdsPort}`,
    dbPostgresUrl: process.env.DB_POSTGRES_URL,
    dbPostgresSchema: process.env.DB_POSTGRES_SCHEMA,
    redisHost: process.env.REDIS_HOST,
    notificationsDelayMs: 0,
  })
  const pds = await TestPds.create({
    port: pdsPort,
    hostname: 'localhost',
    didPlcUrl: plc.url,
    bskyAppViewUrl: bsky.url,
    bskyAppViewDid: bsky.ctx.cfg.serverDid,
    rateLimitsEnabled: true,
  })
  mockNetworkUtilities(pds, bsky)
  process.stdin.on('end', () => process.exit(0))
  process.stdin.resume()
  process.stdout.write(`${JSON.stringify({ pds: pds.url, appview: bsky.url, plc: plc.url })}\n`)
}

main().catch((error) => {
  process.stderr.write(`${error.stack}\n`)
  process.exit(1)
})
