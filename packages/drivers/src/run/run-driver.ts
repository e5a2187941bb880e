import type { Driver } from '@holdfast/core'
import { runKind } from '@holdfast/protocol'

/** Runs: other programs report here, so nothing runs on the server. */
export const runDriver: Driver = { kind: runKind }
