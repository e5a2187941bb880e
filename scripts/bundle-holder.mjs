// Makes the one file that a holder is: packages/drivers/dist/holder-bundle/holder.mjs, or the folder that is named.
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { rolldown } from 'rolldown'

const drivers = join(dirname(dirname(fileURLToPath(import.meta.url))), 'packages/drivers')
const folder = process.argv[2] ?? join(drivers, 'dist/holder-bundle')

const bundle = await rolldown({
  input: join(drivers, 'src/holder/holder-main.ts'),
  platform: 'node',
  // A holder outlives what is installed: it may import what is in Node, and nothing else.
  external: /^node:/,
})
const { output } = await bundle.write({ file: join(folder, 'holder.mjs'), format: 'esm', codeSplitting: false, comments: false })
await bundle.close()

const outside = output
  .flatMap(part => (part.type === 'chunk' ? [...part.imports, ...part.dynamicImports] : [part.fileName]))
  .filter(name => !name.startsWith('node:'))
if (output.length !== 1 || outside.length > 0) {
  console.error(`the holder must be one file; it needs ${outside.join(', ') || `${output.length} files`}`)
  process.exitCode = 1
}
