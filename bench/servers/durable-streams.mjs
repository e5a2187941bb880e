// The peer as a process: durable-streams.mjs PEERS_FOLDER [DATA_DIR [PORT]]; without a folder it keeps everything in memory.
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const [, , peers, dataDir, port = '0'] = process.argv
const resolved = createRequire(join(peers, 'package.json')).resolve('@durable-streams/server')
const { DurableStreamTestServer } = await import(pathToFileURL(resolved).href)
const server = new DurableStreamTestServer({ port: Number(port), host: '127.0.0.1', compression: false, ...(dataDir ? { dataDir } : {}) })
console.log(JSON.stringify({ url: await server.start(), pid: process.pid }))
