import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as typistsPause } from 'node:timers/promises'
import { type Client, createClient, createTerminal } from '@holdfast/client'
import { afterEach, describe, expect, it } from 'vitest'
import { freePort, type ServerProcess, startServer, tempDir, until } from './lib/process.ts'
import { recordResult } from './lib/results.ts'

const rounds = Number(process.env.HOLDFAST_ROUNDS ?? 1) * 3
const PASTE_LINES = 20_000
const KEYS = 40

let server: ServerProcess | undefined
let client: Client | undefined
let sessionId: string | undefined
afterEach(async () => {
  // The program outlives every server; deleting its session ends it.
  if (sessionId !== undefined) await client?.sessions.delete(sessionId)
  client?.close()
  await server?.stop()
})

describe('typing through kill -9', () => {
  it(
    '[TERM-03] [TERM-16] [fault 14] pastes and keys reach the program once, in order, byte for byte, whenever the server is killed',
    async () => {
      const dataDir = tempDir()
      const port = await freePort()
      const file = join(tempDir(), 'typed')
      server = await startServer({ dataDir, port })
      const token = readFileSync(server.tokenFile as string, 'utf8').trim()
      client = createClient({ url: server.url, token, policy: { maxTries: 1e9, capMs: 200 } })
      const command = { command: 'sh', args: ['-c', `stty raw -echo; echo ready; cat > '${file}'`] }
      const { session_id: id } = await client.sessions.create({ kind: 'terminal', terminal: command })
      sessionId = id
      let printed = ''
      const refused: unknown[] = []
      const terminal = createTerminal(client, id, {
        mode: 'replay',
        onOutput: bytes => {
          printed += Buffer.from(bytes).toString()
        },
        onRefused: error => void refused.push(error),
      })
      await until('the program', () => printed.includes('ready') && terminal.isLive)
      let wanted = ''
      const writes: Promise<void>[] = []
      const type = (text: string): void => {
        wanted += text
        writes.push(terminal.write(text))
      }
      for (let round = 0; round < rounds; round++) {
        for (let key = 0; key < KEYS; key++) {
          type(`<${round}.${key}>`)
          await typistsPause(3)
        }
        type(Array.from({ length: PASTE_LINES }, (_, line) => `${round}:${line} é😀`).join('\n'))
        // In the middle of the paste, each time at another place.
        await typistsPause((round * 7) % 20)
        const killed = server.kill()
        type(`[typed while the server is away ${round}]`)
        await killed
        server = await startServer({ dataDir, port })
      }
      await Promise.all(writes)
      await until('all of it in the file', () => existsSync(file) && readFileSync(file).length >= Buffer.byteLength(wanted))
      expect(readFileSync(file).equals(Buffer.from(wanted)), 'byte for byte').toBe(true)
      expect(refused).toEqual([])
      expect(terminal.view.role).toBe('writer')
      recordResult('kill -9 while somebody types into a terminal', { kills: rounds, bytes: Buffer.byteLength(wanted) })
    },
    60_000 + rounds * 10_000,
  )
})
