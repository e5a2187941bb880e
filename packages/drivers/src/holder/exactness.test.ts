import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { generated } from './testing/generator.mjs'
import { held, linkTo, remainsAtEnd, ROUNDS, sourceOf, useHolder } from './testing/hold.ts'
import { readAll } from './testing/reading.ts'

// Many programs run to their end, and the machine may be busy.
vi.setConfig({ testTimeout: 30_000 + ROUNDS * 6_000 })

const made = useHolder()
const GENERATOR = fileURLToPath(new URL('./testing/generator.mjs', import.meta.url))
const SERVER = fileURLToPath(new URL('./testing/reading-server-main.ts', import.meta.url))
const MB3 = 3_000_000

const printing = (seed: number, count: number): string => `stty raw -echo; exec '${process.execPath}' '${GENERATOR}' ${seed} ${count}`

/** Not `toEqual`: a difference of 3 MB is not to be printed. */
function expectSame(got: Buffer, expected: Buffer): void {
  expect(got.length).toBe(expected.length)
  expect(got.equals(expected)).toBe(true)
}

describe('every byte up to the exit', () => {
  for (const mode of ['pty', 'pipe'] as const) {
    const start = (seed: number): Promise<string> => held(made, mode === 'pty' ? printing(seed, MB3) : printing(seed, MB3).replace(/^.*?; /, ''), { mode })

    it(`[TERM-03] 3 MB and exit, ${mode}, read at once: all of it, then the exit`, async () => {
      for (let round = 0; round < ROUNDS; round++) {
        const reading = readAll(await sourceOf(await start(round)))
        expect(await reading.over).toMatchObject({ exitCode: 3, signal: null, endOffset: MB3 })
        expectSame(reading.bytes(), generated(round, MB3))
      }
    })

    it(`[TERM-03] 3 MB and exit, ${mode}, read by one who commits slowly`, async () => {
      for (let round = 0; round < ROUNDS; round++) {
        const source = await sourceOf(await start(round))
        let committing = false
        let newest = 0
        const reading = readAll(source, {
          onPiece(end, _bytes, _stream, ack) {
            newest = end
            if (committing) return
            committing = true
            // The slowness is what is tested.
            void pause(5).then(() => {
              committing = false
              ack(newest)
            })
          },
        })
        expect(await reading.over).toMatchObject({ exitCode: 3, endOffset: MB3 })
        expectSame(reading.bytes(), generated(round, MB3))
      }
    })

    it(`[TERM-01] 3 MB and exit, ${mode}, while nobody reads: the folder has all of it, and the holder is gone`, async () => {
      for (let round = 0; round < ROUNDS; round++) {
        const folder = await start(round)
        const remains = await remainsAtEnd(folder)
        expect(remains.exit).toMatchObject({ exitCode: 3, signal: null, endOffset: MB3 })
        const reading = readAll(remains)
        await reading.over
        expectSame(reading.bytes(), generated(round, MB3))
      }
    })
  }

  for (const [mode, spoolBytes, count] of [
    ['pty', 5_000, 15_000],
    ['pipe', 50_000, 180_000],
  ] as const) {
    it(`[TERM-14] a program that ends while reading is stopped at the limit, ${mode}: what the kernel still has comes too`, async () => {
      const script = printing(8, count)
      const folder = await held(made, mode === 'pty' ? script : script.replace(/^.*?; /, ''), { mode, spoolBytes })
      const remains = await remainsAtEnd(folder)
      expect(remains.exit).toMatchObject({ exitCode: 3, endOffset: count })
      const reading = readAll(remains)
      await reading.over
      expectSame(reading.bytes(), generated(8, count))
    })
  }

  it('[fault 28] characters and escape sequences that are cut by reads are untouched', async () => {
    const text = '€\u{1f680}\x1b[38;2;1;2;3m'
    const reading = readAll(
      await sourceOf(await held(made, `stty raw; i=0; while [ $i -lt 2000 ]; do printf '%s' '${text}'; i=$((i+1)); done; printf '\\377\\300'`)),
    )
    await reading.over
    expectSame(reading.bytes(), Buffer.concat([Buffer.from(text.repeat(2000)), Buffer.of(0xff, 0xc0)]))
  })
})

describe('a reader that dies', () => {
  it('[TERM-04] comes back at what it had stored, at any offset: the bytes are the same', async () => {
    const count = 8_000_000
    for (let seed = 1; seed <= Math.ceil(ROUNDS / 3); seed++) {
      const folder = await held(made, printing(seed, count), { segmentBytes: 300_000, spoolBytes: 700_000 })
      const stored = Buffer.alloc(count)
      let at = 0
      let random = seed
      let readers = 0
      for (let done = false; !done; ) {
        const link = await linkTo(folder).catch(() => undefined)
        if (!link) break
        readers++
        random = (random * 48271) % 0x7fffffff
        const stop = at + (random % 900_000)
        const reading = readAll(link, {
          from: [at],
          onPiece(end, bytes) {
            // A commit of a part: the rest is lost with this reader.
            const kept = Math.min(end, stop) - at
            if (kept > 0) at += Buffer.from(bytes.buffer, bytes.byteOffset, kept).copy(stored, at)
            link.ack(at)
            if (at >= stop) link.close()
          },
        })
        done = await Promise.race([
          reading.over.then(result => typeof result === 'object'),
          vi.waitUntil(() => at >= stop, { timeout: 20_000, interval: 1 }).then(() => false),
        ])
        link.close()
      }
      const remains = await remainsAtEnd(folder)
      for (let piece = remains.read(at, 65_536); piece.length > 0; piece = remains.read(at, 65_536)) at += Buffer.from(piece).copy(stored, at)
      expect(remains.exit?.endOffset).toBe(count)
      expectSame(stored, generated(seed, count))
      // The spool is small, so that the program waits for them.
      expect(readers).toBeGreaterThan(5)
    }
  })

  it('[TERM-04] kill -9 of the reading process, again and again: its file has every byte once', async () => {
    const count = 12_000_000
    const folder = await held(made, printing(77, count), { spoolBytes: 900_000 })
    const file = join(made.dataDir, 'stored')
    let child: ChildProcess | undefined
    onTestFinished(() => void child?.kill('SIGKILL'))
    for (let kills = 0; ; kills++) {
      const running = spawn(process.execPath, [SERVER, folder, file], { stdio: ['ignore', 'pipe', 'inherit'] })
      child = running
      let said = ''
      running.stdout.on('data', (chunk: Buffer) => {
        said += chunk.toString()
      })
      const ended = new Promise<void>(resolve => running.once('close', () => resolve()))
      const before = statSync(file, { throwIfNoEntry: false })?.size ?? 0
      const target = before + 1_000_000 + kills * 123_457
      await Promise.race([
        ended,
        vi.waitUntil(() => (statSync(file, { throwIfNoEntry: false })?.size ?? 0) >= target, { timeout: 20_000, interval: 1 }).catch(() => undefined),
      ])
      running.kill('SIGKILL')
      await ended
      if (!said) continue
      expect(JSON.parse(said)).toMatchObject({ exitCode: 3, endOffset: count })
      expect(kills).toBeGreaterThan(2)
      break
    }
    expectSame(readFileSync(file), generated(77, count))
  })
})
