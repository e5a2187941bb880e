import { SECTIONS, type Setting } from './settings.ts'
import { textFromBytes, textFromMs } from './units.ts'
import { NONE } from './values.ts'

/** The whole configuration file with a comment for every setting; reading it gives the defaults again. */
export function printDefaults(): string {
  const lines = [
    '# Holdfast configuration: every setting with its default.',
    '# Later wins: this file, then the environment variable named beside a setting, then the flags of `holdfast serve`.',
    '# Durations: "250ms", "10s", "1h30m", "7d", or a number of ms. Sizes: "64KiB", "50MiB", "1GB", or a number of bytes.',
  ]
  for (const section of SECTIONS) {
    if (section.settings.length === 0) continue
    lines.push('', `# ${section.description}`, `[${section.key}]`)
    for (const setting of section.settings) lines.push(`# ${setting.description} (${setting.env})`, `${setting.path.at(-1)} = ${tomlValue(setting)}`)
  }
  return `${lines.join('\n')}\n`
}

function tomlValue({ fallback, unit, key }: Setting): string {
  if (fallback === null) return key.startsWith('serve.') ? '""' : JSON.stringify(NONE)
  if (typeof fallback === 'number' && unit === 'ms') return JSON.stringify(textFromMs(fallback))
  if (typeof fallback === 'number' && unit === 'bytes') return JSON.stringify(textFromBytes(fallback))
  return JSON.stringify(fallback)
}
