import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { linkProblems } from './doc-links.mjs'
import { ambientProblems, lengthProblems, stampProblems, wordProblems } from './house-rules.mjs'
import { importGraphProblems } from './import-graph.mjs'
import { codeOf } from './source-text.mjs'
import { idsIn, tableProblems } from './test-table.mjs'

const roots: string[] = []
afterEach(() => {
  for (const root of roots.splice(0)) rmSync(root, { recursive: true })
})

/** A tree with the given files, and manifests of a few rooms. */
function tree(files: Record<string, string>): string {
  const root = mkdtempSync(join(tmpdir(), 'check-'))
  roots.push(root)
  const manifest = (name: string, dependencies = {}) => JSON.stringify({ name, dependencies })
  const all = {
    'packages/protocol/package.json': manifest('@holdfast/protocol'),
    'packages/core/package.json': manifest('@holdfast/core'),
    'packages/store-sqlite/package.json': manifest('@holdfast/store-sqlite'),
    'packages/drivers/package.json': manifest('@holdfast/drivers'),
    'packages/server/package.json': manifest('@holdfast/server'),
    'packages/client/package.json': manifest('@holdfast/client'),
    'packages/testkit/package.json': manifest('@holdfast/testkit'),
    ...files,
  }
  for (const [path, text] of Object.entries(all)) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  return root
}

test.each([
  ['packages/store-sqlite/src/a.ts', "import { x } from '@holdfast/drivers'\n", 'no arrow store -> drivers'],
  ['packages/client/src/a.ts', "import type { Engine } from '@holdfast/core'\n", 'no arrow client -> core'],
  ['packages/protocol/src/a.ts', "export * from '@holdfast/core'\n", 'no arrow protocol -> core'],
  ['packages/core/src/a.ts', "const fs = await import('node:fs')\n", 'core knows no node:*'],
  ['packages/core/src/a.ts', "import {\n  a,\n  b,\n} from 'node:crypto'\n", 'core knows no node:*'],
  ['packages/server/src/a.ts', "import { fake } from '@holdfast/testkit'\n", 'testkit is imported by tests, e2e and bench only'],
  ['packages/server/src/a.ts', "import { x } from '../../core/src/index.ts'\n", 'leaves its room'],
  ['packages/client/src/a.ts', "import { jsonSchema } from '@holdfast/protocol/schema'\n", 'not for a browser'],
  ['packages/core/package.json', JSON.stringify({ name: '@holdfast/core', dependencies: { '@holdfast/server': '1' } }), 'no arrow core -> server'],
])('an edge against the arrows is named: %s', (path, text, why) => {
  const problems = importGraphProblems(tree({ [path]: text }))
  expect(problems).toHaveLength(1)
  expect(problems[0]).toContain(path)
  expect(problems[0]).toContain(why)
})

test('allowed edges, comments and strings are no problem', () => {
  const root = tree({
    'packages/server/src/a.ts':
      "import { x } from '@holdfast/core'\nimport { y } from '@holdfast/store-sqlite'\nimport fs from 'node:fs'\n// import 'testkit'\n",
    'packages/core/src/a.test.ts': "import { x } from '@holdfast/testkit'\nimport fs from 'node:fs'\n",
    'packages/core/src/b.ts': "// import fs from 'node:fs'\n/* import 'node:fs' */\nimport { x } from './a/b.ts'\n",
  })
  expect(importGraphProblems(root)).toEqual([])
})

test.each([
  'Date.now()',
  'new Date()',
  'Math.random()',
  'setTimeout(f, 1)',
  'globalThis.setInterval(f, 1)',
  'crypto.randomUUID()',
  'performance.now()',
  '`${Date.now()}`',
])('ambient %s is a problem outside clock and random files', use => {
  const code = `export const x = ${use}\n`
  expect(ambientProblems(tree({ 'packages/core/src/a.ts': code }))).toHaveLength(1)
  expect(
    ambientProblems(
      tree({
        'packages/server/src/system-clock.ts': code,
        'packages/core/src/a.test.ts': code,
        'e2e/a.ts': code,
        'packages/cli/src/b.ts': `// edge: why\n${code}`,
        'packages/cli/src/main.ts': `// The start of the process, edge: the real clock.\n\n\n${code}`,
        'packages/cli/test/c.ts': code,
      }),
    ),
  ).toEqual([])
})

test('words about time are no use of it', () => {
  const code = '// Date.now\nconst text = "Math.random" + `setTimeout(`\nconst at = new Date(ms)\nclock.setTimeout(x)\nconst pattern = /\'Date.now/\n'
  expect(ambientProblems(tree({ 'packages/core/src/a.ts': code }))).toEqual([])
})

test('forbidden words, machine names, registries and download addresses are found', () => {
  const word = ['observ', 'ability'].join('')
  const url = ['https://registry', 'example', 'org/x.tgz'].join('.')
  const root = tree({
    'docs/a.md': `on ${word}\nin /somewhere/else/\nat ${url}\n`,
    'package-lock.json': `{\n"resolved": "packages/x",\n"resolved": "${url}"\n}`,
  })
  expect(wordProblems(root, ['/somewhere/else/']).map(problem => problem.split(' ')[0])).toEqual([
    'docs/a.md:1:',
    'docs/a.md:2:',
    'docs/a.md:3:',
    'package-lock.json:3:',
  ])
})

test('a long file says why at its top', () => {
  const long = 'x\n'.repeat(401)
  expect(lengthProblems(tree({ 'packages/core/src/a.ts': long }))).toHaveLength(1)
  expect(lengthProblems(tree({ 'packages/core/src/a.ts': `// This long because of reasons.\n${long}`, 'packages/core/src/b.ts': 'x\n'.repeat(400) }))).toEqual(
    [],
  )
})

test('line breaks stay where they were when comments and strings go', () => {
  const text = 'a /* 1\n2 */ b // c\n`x\n${"}"}`\n/[/"]/.test(d)\n'
  expect(codeOf(text).split('\n').length).toBe(text.split('\n').length)
  expect(codeOf(text)).toContain('.test(d)')
})

test('links of docs to files and headings that are not there are found', () => {
  const root = tree({
    'docs/a.md':
      '# A title, with `code`\n[here](#a-title-with-code) [b](b.md#two) [c](https://example.org)\n[gone](c.md)\n[gone](b.md#three)\n`[code](x.md)`\n',
    'docs/b.md': '# One\n## Two\n```\n# Three\n[code](x.md)\n```\n',
  })
  expect(linkProblems(root)).toEqual(['docs/a.md:3: no such file: c.md', 'docs/a.md:4: no such heading: b.md#three'])
})

test('[SEQ-12] a source that makes an event past the stamping place is found', () => {
  const code = "import { encodeEvent } from '@holdfast/protocol'\nexport const x = encodeEvent(draft, 's', 1, at)\n"
  const root = tree({
    'packages/server/src/a.ts': code,
    'packages/core/src/plan.ts': code,
    'packages/core/src/a.test.ts': code,
    'packages/testkit/src/b.ts': code,
  })
  expect(stampProblems(root)).toEqual(['packages/server/src/a.ts: makes an event by itself; only packages/core/src/plan.ts may'])
})

test('the ids of test titles are read in all their forms', () => {
  const text =
    "test('[SEQ-03] a')\ntest('[SEQ-04, SEQ-06] b')\ntest('[fault 3] c')\ntest('[faults 1, 2] d')\ntest('[RUN-05][fault 30] e')\nit(`[SEQ-18, fault 5] f`)\nrow[0] [x]"
  expect([...idsIn(text)]).toEqual(['SEQ-03', 'SEQ-04', 'SEQ-06', 'fault 3', 'fault 1', 'fault 2', 'RUN-05', 'fault 30', 'SEQ-18', 'fault 5'])
})

test('a table that is older than the tests, and an id without a row, are found', () => {
  const files = { 'packages/core/src/a.test.ts': "test('[SEQ-03] a')\nstoreSuite('x', y)", 'packages/testkit/src/store-suite/b.ts': "test('[SEQ-03] b')" }
  const row = '| SEQ-03 | resume | core | core |  |  |  |\n'
  expect(tableProblems(tree({ ...files, 'docs/testing.md': row }))).toEqual([])
  expect(tableProblems(tree({ ...files, 'docs/testing.md': '| SEQ-03 | resume | | | | | |\n' }))).toHaveLength(1)
  expect(tableProblems(tree({ ...files, 'docs/testing.md': row, 'e2e/c.test.ts': "test('[fault 31] c')" }))).toEqual([
    'docs/testing.md: tests name fault 31, which has no row',
  ])
})
