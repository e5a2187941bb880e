import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, it, vi } from 'vitest'
import { held, linkTo, remainsAtEnd, useHolder } from './testing/hold.ts'
import { readAll } from './testing/reading.ts'

const made = useHolder()

/** The most memory that a process has had, in MB. */
const peakOf = (pid: number): number => Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]) / 1024

const spoolOf = (folder: string): number =>
  readdirSync(folder)
    .filter(name => name.startsWith('spool'))
    .reduce((sum, name) => sum + statSync(join(folder, name)).size, 0)

/** A process that waits for its terminal to take more. */
const isBlocked = (pid: number): boolean => readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.startsWith('S') === true

describe('limits', () => {
  it('[TERM-14] a program that prints on while nobody reads is stopped at the limit, and goes on after acks', async () => {
    const limit = 3 << 20
    const folder = await held(made, 'stty raw; exec yes', { spoolBytes: limit, segmentBytes: 1 << 20 })
    const link = await linkTo(folder)
    const { program } = link.hello
    for (let before = -1, now = 0; now !== before || now < limit; ) {
      before = now
      for (let turn = 0; turn < 50; turn++) await link.ping()
      now = spoolOf(folder)
    }
    expect(isBlocked(program.pid)).toBe(true)
    expect(spoolOf(folder)).toBeLessThan(limit + (256 << 10))
    const reading = readAll(link)
    await vi.waitUntil(() => reading.end() > 2 * limit)
    link.kill()
    expect(await reading.over).toMatchObject({ signal: 'SIGHUP' })
    expect(reading.text()).toBe('y\n'.repeat(reading.end() / 2))
  })

  it('[TERM-14] neither side grows while yes runs and the reader commits slowly', async () => {
    const folder = await held(made, 'stty raw; exec yes', { spoolBytes: 16 << 20 })
    const link = await linkTo(folder)
    const before = { own: process.memoryUsage(), holder: peakOf(link.hello.holder.pid) }
    let received = 0
    let acked = 0
    let unacked = 0
    link.read([0], {
      onOutput(offset, bytes) {
        received = offset + bytes.length
        unacked = Math.max(unacked, received - acked)
      },
      onExit: () => {},
      onLost: () => {},
    })
    // A second and a half of a server that stores 2 MB/s: time is what is tested.
    for (let step = 0; step < 60; step++) {
      await pause(25)
      acked = Math.min(received, acked + 50_000)
      link.ack(acked)
    }
    const after = { own: process.memoryUsage(), holder: peakOf(link.hello.holder.pid) }
    expect(unacked).toBeLessThanOrEqual(1 << 20)
    expect(received).toBeGreaterThan(1 << 20)
    expect(after.holder - before.holder).toBeLessThan(40)
    expect(after.own.arrayBuffers - before.own.arrayBuffers).toBeLessThan(16 << 20)
    console.log(
      `    holder's peak ${before.holder.toFixed(0)} -> ${after.holder.toFixed(0)} MB, spool ${spoolOf(folder) >> 20} MB, at most ${unacked} bytes unacked here`,
    )
  })

  it('[TERM-14] what a folder has is given by the window too, as acks come', async () => {
    const remains = await remainsAtEnd(await held(made, 'stty raw; yes | head -c 3000000'))
    let end = 0
    const reading = remains.follow([0], {
      onOutput(offset, bytes) {
        end = offset + bytes.length
      },
      onExit() {
        end = -1
      },
      onLost: () => {},
    })
    await vi.waitUntil(() => end === 1 << 20)
    for (let turn = 0; turn < 10; turn++) await new Promise(resolve => setImmediate(resolve))
    expect(end).toBe(1 << 20)
    reading.ack(500_000)
    await vi.waitUntil(() => end === (1 << 20) + 500_000)
    reading.ack(3_000_000)
    await vi.waitUntil(() => end === -1)
  })
})
