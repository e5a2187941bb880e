import { principalOf, settle, startEngine, take } from '@holdfast/testkit'
import { describe, expect, it } from 'vitest'

const admin = principalOf('a')

describe('logs in memory', () => {
  it('[fault 17] more sessions than stay in memory: everybody who attaches at once gets what comes', async () => {
    const started = await startEngine()
    const ids = Array.from({ length: 6000 }, (_, index) => `s${index}`)
    for (const id of ids) await started.engine.createSession(admin, { session_id: id, session_name: id })
    const { engine } = await started.restart()
    const readers = await Promise.all(ids.map(id => engine.attach(admin, id)))
    for (const reader of readers) await take(reader)
    let woken = 0
    for (const reader of readers) reader.onWake(() => void woken++)
    await Promise.all(ids.map(id => engine.appendEvents(admin, id, [{ event_type: 'message' }])))
    await settle()
    expect(woken).toBe(6000)
    const seen = await Promise.all(readers.map(async reader => (await take(reader)).seqs.join()))
    expect(seen.filter(seqs => seqs !== '1').length).toBe(0)
  }, 60_000)
})
