// `node examples/browser/start.mjs`: a Holdfast server, and a page that follows a session of it. Arguments go to `holdfast serve`.
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { rolldown } from 'rolldown'

const here = dirname(fileURLToPath(import.meta.url))
const bundle = await rolldown({ input: join(here, 'main.js'), platform: 'browser' })
const script = (await bundle.generate({ format: 'esm' })).output[0].code
const html = readFileSync(join(here, 'index.html'))
let server

const pages = createServer((request, response) => {
  const [type, body] =
    request.url === '/main.js'
      ? ['text/javascript', script]
      : request.url === '/config.json'
        ? ['application/json', JSON.stringify({ server })]
        : ['text/html', html]
  response.writeHead(200, { 'content-type': type, 'cache-control': 'no-store' }).end(body)
})
await new Promise(resolve => pages.listen(Number(process.env.PORT ?? 0), '127.0.0.1', resolve))
const origin = `http://127.0.0.1:${pages.address().port}`

const args = ['serve', '--json', '--allow-origin', origin, ...process.argv.slice(2)]
const child = spawn(process.execPath, [join(here, '../../packages/cli/bin/holdfast.mjs'), ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
child.on('exit', code => process.exit(code ?? 1))
process.on('SIGTERM', () => child.kill())
process.on('SIGINT', () => child.kill())
for await (const line of createInterface({ input: child.stdout })) {
  server = JSON.parse(line).url
  console.log(`open ${origin}`)
}
