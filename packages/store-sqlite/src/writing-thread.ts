import { Worker } from 'node:worker_threads'
import { StoreError, type Commit, type Logger } from '@holdfast/core'
import type { Value } from './database.ts'
import { emptyBatch, encodeCommit, packBodies } from './encode.ts'
import { OpenError, type OpenErrorCode } from './errors.ts'
import type { Failure, FromWorker, Item, ToWorker, WorkerSettings } from './messages.ts'
import type { Overlay } from './overlay.ts'

/** The main thread's side of the worker: things go in in the order of the calls, and are settled in that order. */
export interface WritingThread {
  readonly epoch: string
  readonly quarantined: Set<string>
  /** `isFresh`: its ids were never stored and are not on their way. */
  commit(commit: Commit, isFresh?: boolean): Promise<void>
  /** Those that are not settled. */
  commitsInFlight(): Commit[]
  /** Anything else that is written; resolves with its value. */
  put(item: Item): Promise<Value>
  ask(message: Asked): Promise<number>
  tick(now: number): void
  /** What was accepted is on disk when it resolves. */
  close(): Promise<void>
}

type Asked =
  | { readonly type: 'fold'; readonly now: number; readonly all: boolean }
  | { readonly type: 'expire'; readonly before: number }
  | { readonly type: 'erase' }
  | { readonly type: 'file' }

export interface ThreadPorts {
  readonly logger: Logger
  /** After the promises of a group were settled: the new heads. */
  readonly onHeads: (heads: ReadonlyMap<string, number>) => void
  readonly onRemoved: (segments: readonly number[]) => void
  readonly overlay: Overlay
  /** Events of these logs are gone. */
  readonly onShortened: (sessionId: string) => void
}

interface Waiting {
  readonly resolve: (value: Value) => void
  readonly reject: (error: StoreError) => void
  readonly commit: Commit | undefined
}

/** What a burst may leave behind as room for young objects. */
const YOUNG_MIB = 12

const CLOSED: Failure = { code: 'closed', message: 'the store is closed' }

/** Sources run under Node as they are, so that the worker has this file's extension. */
const workerUrl = (): URL => new URL(`./worker${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url)

/** Resolves once the database is open. Rejects with OpenError. */
export function startWritingThread(settings: WorkerSettings, ports: ThreadPorts): Promise<WritingThread> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(workerUrl(), {
      workerData: settings,
      name: 'holdfast store',
      execArgv: [],
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MIB },
    })
    const refuse = (error: unknown): void => reject(error)
    worker.once('error', refuse)
    worker.once('exit', () => refuse(new OpenError('damaged', 'The store ended while it was opening.')))
    const onFirst = (message: FromWorker): void => {
      if (message.type === 'log') return ports.logger[message.level](message.message, message.fields)
      worker.off('error', refuse)
      worker.off('message', onFirst)
      if (message.type === 'ready') resolve(threadOf(worker, message, ports))
      else if (message.type === 'refused')
        reject(isOpenCode(message.code) ? new OpenError(message.code, message.message) : Object.assign(new Error(message.message), { code: message.code }))
    }
    worker.on('message', onFirst)
  })
}

const isOpenCode = (code: string): code is OpenErrorCode => code === 'in_use' || code === 'damaged' || code === 'unsupported'

const storeError = ({ code, message, sessionId }: Failure): StoreError => new StoreError(code, message, sessionId === undefined ? {} : { sessionId })

function threadOf(
  worker: Worker,
  ready: { readonly epoch: string; readonly quarantined: readonly string[] },
  { logger, onHeads, onRemoved, overlay, onShortened }: ThreadPorts,
): WritingThread {
  const quarantined = new Set(ready.quarantined)
  const waiting: Waiting[] = []
  const asked = new Map<number, { resolve: (value: number) => void; reject: (error: StoreError) => void }>()
  let batch = emptyBatch()
  let requests = 0
  let refusal: Failure | undefined
  let closing: Promise<void> | undefined

  const send = (message: ToWorker, transfer: ArrayBuffer[] = []): void => worker.postMessage(message, transfer)
  const flush = (): void => {
    if (batch.items.length === 0) return
    const buffer = packBodies(batch)
    const { items } = batch
    batch = emptyBatch()
    send({ type: 'batch', items, buffer }, [buffer])
  }
  const enter = (item: Item, entry: Waiting): void => {
    // Whatever else comes in this turn of the loop goes along: one message, and one group.
    if (batch.items.length === 0) setImmediate(flush)
    batch.items.push(item)
    waiting.push(entry)
  }
  const settle = ({ commit, filed, count, results }: Extract<FromWorker, { readonly type: 'settled' }>): void => {
    overlay.filed(filed)
    const heads = new Map<string, number>()
    let next = 0
    const settled = waiting.splice(0, count)
    for (let index = 0; index < settled.length; index++) {
      const entry = settled[index] as Waiting
      const told = results[next]?.[0] === index ? results[next++]?.[1] : undefined
      if (told && 'failure' in told) {
        entry.reject(storeError(told.failure))
        continue
      }
      if (entry.commit && commit > filed) overlay.add(commit, entry.commit)
      entry.resolve(told ? told.value : null)
      for (const { sessionId } of entry.commit?.trims ?? []) onShortened(sessionId)
      for (const { sessionId } of entry.commit?.drops ?? []) onShortened(sessionId)
      for (const append of entry.commit?.appends ?? []) heads.set(append.sessionId, append.lastSeq)
      for (const drop of entry.commit?.drops ?? []) if (!drop.keepLog) quarantined.delete(drop.sessionId)
    }
    if (heads.size > 0) onHeads(heads)
  }
  const fail = (failure: Failure): void => {
    refusal ??= failure
    for (const entry of waiting.splice(0)) entry.reject(storeError(refusal))
    for (const entry of asked.values()) entry.reject(storeError(refusal))
    asked.clear()
  }

  worker.on('message', (message: FromWorker) => {
    if (message.type === 'settled') settle(message)
    else if (message.type === 'filed') overlay.filed(message.filed)
    else if (message.type === 'reply') {
      const entry = asked.get(message.request)
      asked.delete(message.request)
      if (message.failure) entry?.reject(storeError(message.failure))
      else entry?.resolve(message.value)
    } else if (message.type === 'log') logger[message.level](message.message, message.fields)
    else if (message.type === 'removed') onRemoved(message.segments)
    else if (message.type === 'quarantined') quarantined.add(message.id)
  })
  worker.on('error', error => {
    logger.error('the store failed', { error: String(error) })
    fail({ code: 'fatal', message: `the store failed: ${String(error)}` })
  })
  worker.on('exit', () => fail(closing ? CLOSED : { code: 'fatal', message: 'the store ended' }))

  return {
    epoch: ready.epoch,
    quarantined,
    commit(commit, isFresh = false) {
      return new Promise<void>((resolve, reject) => {
        if (refusal) throw storeError(refusal)
        enter(encodeCommit(batch, commit, isFresh), { resolve: resolve as () => void, reject, commit })
      })
    },
    commitsInFlight: () => waiting.flatMap(entry => entry.commit ?? []),
    put(item) {
      return new Promise((resolve, reject) => {
        if (refusal) throw storeError(refusal)
        enter(item, { resolve, reject, commit: undefined })
      })
    },
    ask(message) {
      return new Promise((resolve, reject) => {
        if (refusal) throw storeError(refusal)
        flush()
        const request = ++requests
        asked.set(request, { resolve, reject })
        send({ ...message, request })
      })
    },
    tick: now => send({ type: 'tick', now }),
    close() {
      closing ??= new Promise<void>(resolve => {
        if (refusal) {
          resolve()
          return
        }
        flush()
        refusal = CLOSED
        worker.once('exit', () => resolve())
        send({ type: 'close' })
      })
      return closing
    },
  }
}
