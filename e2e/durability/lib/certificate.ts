import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { tempDir } from '../../lib/process.ts'
import type { Missing } from './means.ts'

export interface Certificate {
  readonly certPath: string
  readonly keyPath: string
  readonly cert: string
  readonly key: string
}

/** A self-signed certificate for these names and this machine's loopback; the reason where none can be made. */
export function makeCertificate(names: readonly string[]): Certificate | { readonly missing: Exclude<Missing, undefined> } {
  const folder = tempDir()
  const certPath = join(folder, 'cert.pem')
  const keyPath = join(folder, 'key.pem')
  const subjects = ['DNS:localhost', 'IP:127.0.0.1', ...names.map(name => `DNS:${name}`)].join(',')
  const run = spawnSync(
    'openssl',
    [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
      '-nodes',
      '-days',
      '2',
      '-subj',
      '/CN=localhost',
      '-addext',
      `subjectAltName=${subjects}`,
      '-keyout',
      keyPath,
      '-out',
      certPath,
    ],
    { encoding: 'utf8' },
  )
  if (run.error) return { missing: 'openssl is not installed' }
  if (run.status !== 0) throw new Error(run.stderr)
  return { certPath, keyPath, cert: readFileSync(certPath, 'utf8'), key: readFileSync(keyPath, 'utf8') }
}
