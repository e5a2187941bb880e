/** One line of a plot. */
export interface GrowthMeasure {
  readonly key: string
  readonly label: string
  readonly unit: 'ms' | 'µs' | 'MB/s'
}

/** Figures at one size; a key that is missing was not measured there. */
export interface GrowthPoint {
  readonly x: number
  readonly values: Readonly<Record<string, number>>
}

/** What grows, and what becomes of the measures. */
export interface GrowthAxis {
  readonly axis: 'sessions' | 'log-size' | 'readers'
  /** Of the x axis, with the unit. */
  readonly label: string
  readonly measures: readonly GrowthMeasure[]
  readonly points: readonly GrowthPoint[]
  /** Settings, and whatever one must know to read the figures. */
  readonly notes: readonly string[]
}

/** `bench/results/growth.json`. */
export interface GrowthResults {
  readonly facts: Readonly<Record<string, unknown>>
  readonly quick: boolean
  readonly seconds: number
  readonly axes: readonly GrowthAxis[]
}

/** How an axis is measured. */
export interface GrowthPlan {
  /** The sizes, ascending. */
  readonly sizes: readonly number[]
  /** Of each time in ms. */
  readonly samples: number
  /** Restarts after kill -9, for each size. */
  readonly restarts: number
  /** `performance.now()` from which no larger size is begun. */
  readonly deadline: number
  readonly onPoint: (point: GrowthPoint) => void
}

/** Three figures: `0.183`, `12.4`, `1,230`. */
export const threeFigures = (value: number): string => Number(value.toPrecision(3)).toLocaleString('en-US', { maximumSignificantDigits: 3 })

/** A size as people say it: `100 MB`, `1,000,000`. */
export function sizeName(axis: GrowthAxis['axis'], x: number): string {
  if (axis !== 'log-size') return x.toLocaleString('en-US')
  return x >= 1e9 ? `${threeFigures(x / 1e9)} GB` : `${threeFigures(x / 1e6)} MB`
}
