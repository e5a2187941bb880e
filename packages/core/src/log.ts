import type { Chunk, HoldfastError } from '@holdfast/protocol'
import type { SessionRow } from './ports.ts'
import type { Tail } from './tail.ts'

/** What a log tells its readers. */
export interface LogReader {
  /** There may be something to read. */
  wake(): void
  /** Something happened to the log that is no event: a failed write; the reader goes on. */
  notice(error: HoldfastError): void
}

/**
 * One session's log in memory. `row` is what the store has committed; `next` is what it will be once everything
 * in flight is committed. After a failed commit `next` falls back to `row`, so that no seq is burnt (fault 4).
 */
export class Log {
  readonly tail: Tail
  /** Client ids that were attached since the log was loaded. */
  readonly clients = new Set<string>()
  /** Ids of appends that are not committed yet, with what settles when they are. */
  readonly idsInFlight = new Map<string, Promise<unknown>>()
  /** Why nothing more can be read; readers end with it. */
  gone: HoldfastError | undefined
  row: SessionRow
  next: SessionRow
  /** It has more than is kept; taken down by the sweep that trims it. */
  touched = false
  #inFlight = 0
  #failed = false
  /** A change that stands alone waits, or is under way. */
  #claimed = false
  #waiting: (() => void)[] = []
  /** The end of the newest piece of work in order; undefined while there is none. */
  #turn: Promise<void> | undefined
  readonly #readers = new Set<LogReader>()
  readonly #subscribe: (listener: () => void) => () => void
  #unsubscribe: (() => void) | undefined

  /** `subscribe` gives the store's hints that the head moved, while there are readers. */
  constructor(row: SessionRow, tail: Tail, subscribe: (listener: () => void) => () => void) {
    this.#subscribe = subscribe
    this.row = row
    this.next = row
    this.tail = tail
  }

  get id(): string {
    return this.row.id
  }

  get head(): number {
    return this.row.head
  }

  get floor(): number {
    return this.row.floor
  }

  /** Nothing holds it in memory but the cache. */
  get isIdle(): boolean {
    return this.#readers.size === 0 && this.#inFlight === 0 && this.idsInFlight.size === 0 && !this.touched
  }

  get readers(): number {
    return this.#readers.size
  }

  addReader(reader: LogReader): void {
    this.#readers.add(reader)
    this.#unsubscribe ??= this.#subscribe(() => this.wake())
  }

  removeReader(reader: LogReader): void {
    this.#readers.delete(reader)
    if (this.#readers.size > 0) return
    this.#unsubscribe?.()
    this.#unsubscribe = undefined
  }

  /** Appends go on in the order in which they were asked for; `planned` lets the next one go before this one is on disk. */
  async inOrder<T>(work: (planned: () => void) => Promise<T>): Promise<T> {
    const before = this.#turn
    let resolve: () => void = () => undefined
    const turn = new Promise<void>(settle => {
      resolve = settle
    })
    this.#turn = turn
    const planned = (): void => {
      if (this.#turn === turn) this.#turn = undefined
      resolve()
    }
    if (before) await before
    try {
      return await work(planned)
    } finally {
      planned()
    }
  }

  /** True while an append waits for its turn, or has it and no seqs yet. */
  get isInTurn(): boolean {
    return this.#turn !== undefined
  }

  /** Resolves when a new commit may be planned: at once, or after everything in flight behind a failed commit has failed too, or after the change that stands alone. */
  async settled(): Promise<void> {
    while (this.isSettling) await this.#changed()
  }

  /** True between a failed commit and the end of those that were in flight behind it, and while a change stands alone. */
  get isSettling(): boolean {
    return this.#failed || this.#claimed
  }

  /**
   * Resolves when nothing is in flight, and holds new commits back until the given function is called. For changes that
   * no seq chains to those before them: planned on `next`, they would outlive the failure of what they were planned on.
   */
  async alone(): Promise<() => void> {
    // Looked at and taken in one tick: between two awaits somebody else may take it.
    while (this.isSettling) await this.#changed()
    this.#claimed = true
    while (this.#inFlight > 0) await this.#changed()
    return () => {
      this.#claimed = false
      this.#tell()
    }
  }

  #changed(): Promise<void> {
    return new Promise<void>(resolve => this.#waiting.push(resolve))
  }

  #tell(): void {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }

  /** A commit that leads to `next` is on its way. */
  begin(next: SessionRow): void {
    this.next = next
    this.#inFlight++
  }

  /** It is on disk: `row` is what the log is now, `chunks` what it gained. */
  committed(row: SessionRow, chunks: readonly Chunk[]): void {
    this.row = row
    for (const chunk of chunks) this.tail.push(chunk)
    this.#end()
  }

  /** Nothing of it was stored; readers are told of the failure itself, not of those that follow from it. */
  failed(error: HoldfastError): void {
    this.#failed = true
    this.#end()
    if (error.code !== 'storage_failed' || error.details.reason === 'stale') return
    for (const reader of this.#readers) reader.notice(error)
  }

  #end(): void {
    this.#inFlight--
    if (this.#inFlight > 0) return
    if (this.#failed) {
      this.#failed = false
      this.next = this.row
    }
    this.#tell()
  }

  wake(): void {
    for (const reader of this.#readers) reader.wake()
  }

  /** Ends every attachment with `error`. */
  end(error: HoldfastError): void {
    this.gone = error
    this.tail.clear()
    this.wake()
  }
}
