/** One side of a comparison: does its work once and gives the figure. */
export type Measure = () => Promise<number>

export interface Target {
  /** What the bound is a ratio of; `value` is an absolute bound in the row's unit. */
  readonly against: 'peer' | 'limit' | 'value'
  readonly op: '>=' | '<='
  readonly bound: number
}

/** One line of the results. Ratios are the median of the rounds' own, `ours / peer` and `ours / limit`. */
export interface Row {
  readonly case: string
  readonly metric: string
  readonly unit: string
  readonly ours: number
  readonly peer: number | null
  readonly peer_name: string | null
  readonly limit: number | null
  readonly limit_name: string | null
  readonly ratio_peer: number | null
  readonly ratio_limit: number | null
  /** `>= 3 x peer, >= 0.6 x limit`; null where the figure is only shown. */
  readonly target: string | null
  readonly ok: boolean | null
  readonly rounds: number
  /** Ours in each round, so that the noise can be seen. */
  readonly samples: readonly number[]
  readonly note?: string
}

export interface Side {
  readonly name: string
  readonly measure: Measure
}

export interface Comparison {
  readonly metric: string
  readonly unit: string
  readonly ours: Measure
  readonly peer?: Side
  readonly limit?: Side
  readonly targets?: readonly Target[]
  /** Rounds of A B A B; the context's by default. */
  readonly rounds?: number
  /** Settings, and whatever one must know to read the figure. */
  readonly note?: string
}

/** What a case gets. */
export interface Context {
  readonly quick: boolean
  readonly rounds: number
  /** A folder of this case's own, on the disk that is measured; removed afterwards. */
  readonly folder: string
  /** Progress, for whoever watches. */
  say(text: string): void
  /** Measures all sides in turn, round by round, after one round that does not count, and records the row. */
  compare(comparison: Comparison): Promise<Row>
  /** Records figures that were measured some other way. */
  record(
    row: Omit<Comparison, 'ours' | 'peer' | 'limit' | 'rounds'> & {
      ours: number
      peer?: { name: string; value: number }
      limit?: { name: string; value: number }
    },
  ): Row
  /** Runs `end` when the case ends, however it ends; the last one first. */
  defer(end: () => unknown): void
}

export interface Case {
  /** What it shows, for `--list`. */
  readonly about: string
  run(context: Context): Promise<void>
}
