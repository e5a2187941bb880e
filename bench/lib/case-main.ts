// One case in a process of its own, so that none inherits the heap of another: case-main.ts NAME SCRATCH [quick].
import type { Case } from './case.ts'
import { createContext } from './context.ts'

const [, , name = '', scratch = '', mode] = process.argv
const send = (message: unknown): void => void process.send?.(message)
const { default: found } = (await import(`../cases/${name}.ts`)) as { default: Case }
const context = createContext({
  name,
  quick: mode === 'quick',
  scratch,
  say: text => send({ say: text }),
  onRow: row => send({ row }),
})
try {
  await found.run(context)
} catch (error) {
  send({ failure: error instanceof Error ? (error.stack ?? error.message) : String(error) })
  process.exitCode = 1
} finally {
  await context.end()
  process.disconnect?.()
}
