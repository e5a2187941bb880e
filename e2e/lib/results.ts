import { appendFileSync } from 'node:fs'

/** Notes what a long test counted, for `npm run soak` (docs/reliability.md); shown on stdout in any case. */
export function recordResult(name: string, counts: Readonly<Record<string, unknown>>): void {
  const line = JSON.stringify({ name, ...counts })
  process.stdout.write(`${line}\n`)
  const file = process.env.HOLDFAST_RESULTS
  if (file) appendFileSync(file, `${line}\n`)
}
