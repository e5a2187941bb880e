import { execFile } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, test } from 'vitest'
import { ROOT, startServer, tempDir } from '../lib/process.ts'

const GUIDES = ['packages/client/README.md', 'docs/guides/client.md']
const blocksOf = (guide: string): string[] => [...readFileSync(join(ROOT, guide), 'utf8').matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map(([, code = '']) => code)

test("[CLI-05] every block of the client's guide and README is a module that the types allow", async () => {
  const folder = tempDir()
  let blocks = 0
  for (const guide of GUIDES) for (const code of blocksOf(guide)) writeFileSync(join(folder, `block-${++blocks}.ts`), code)
  expect(blocks).toBeGreaterThan(8)
  const compilerOptions = {
    target: 'es2023',
    lib: ['es2024', 'dom', 'dom.iterable'],
    module: 'nodenext',
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    noEmit: true,
    skipLibCheck: true,
    types: [],
    typeRoots: [join(ROOT, 'node_modules/@types')],
    paths: { '@holdfast/client': [join(ROOT, 'packages/client/dist/index.d.ts')], ws: [join(ROOT, 'node_modules/@types/ws/index.d.ts')] },
  }
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}')
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['*.ts'] }))
  const said = await new Promise<string>(resolve =>
    execFile(join(ROOT, 'node_modules/.bin/tsc'), ['-p', folder], (_error, out, err) => resolve(`${out}${err}`)),
  )
  expect(said).toBe('')
})

test("[CLI-05] the README's first program does what it says", async () => {
  const server = await startServer()
  try {
    const file = join(tempDir(), 'program.mjs')
    const client = pathToFileURL(join(ROOT, 'packages/client/dist/index.js')).href
    writeFileSync(
      file,
      (blocksOf('packages/client/README.md')[0] as string).replace('http://127.0.0.1:8765', server.url).replace("'@holdfast/client'", `'${client}'`),
    )
    const said = await new Promise<string>((resolve, reject) =>
      execFile(process.execPath, [file], { timeout: 20_000 }, (error, out) => (error ? reject(error) : resolve(out))),
    )
    const lines = said.trimEnd().split('\n')
    expect(lines).toContain('on disk at 1')
    expect(lines.filter(line => line.startsWith('1 run.message'))).toHaveLength(1)
    expect(lines).toContain('live')
  } finally {
    await server.stop()
  }
})
