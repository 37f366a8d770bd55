/** Whatever an import can report, its author is told how to mend it. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { hintFor } from '../../src/targets/hints.ts'

const folder = join(import.meta.dirname, '../../src')
const sources = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts') && /^(?:targets|catalogue|config)\//.test(path) && path !== 'targets/hints.ts')
  .map((path) => ({ path, text: readFileSync(join(folder, path), 'utf8') }))

/** Ways in which an issue gets its code. */
const sites = [
  /\b#?warn(?:ing)?\(\s*'(\w+)'/g,
  /\b#?issue\(\s*'(?:error|warning)',\s*'(\w+)'/g,
  /severity: '(?:error|warning)',\s*code: '(\w+)'/g,
  /new GatewayError\('(bad_description|over_limit)'/g,
]
/** The reasons that `_ref` codes are made of. */
const reasons = /reason: ((?:'\w+'(?: \| )?)+)/g

const found = new Set(
  sources.flatMap(({ text }) => [
    ...sites.flatMap((site) => [...text.matchAll(site)].map(([, code = '']) => code)),
    ...[...text.matchAll(reasons)].flatMap(([, names = '']) => names.match(/\w+/g) ?? []).map((name) => `${name}_ref`),
  ]),
)

describe('hintFor', () => {
  it('sees the codes in the sources', () => {
    expect([...found]).toEqual(expect.arrayContaining(['fragment', 'pattern_dropped', 'operation_id', 'dangling_ref']))
    expect(found.size).toBeGreaterThan(15)
  })

  it('has a hint for every code', () => {
    expect([...found].filter((code) => hintFor(code) === undefined)).toEqual([])
  })

  it('sees every place where an issue is made', () => {
    // Calls whose code is neither written out, nor one of the references’ reasons, nor handed on by name.
    const call =
      /(?<!\.)\b(?:warn|warning|issue)\((?!\s*(?:'|code\b|severity\b|place\b|`\$\{found\.reason\}_ref`))[^)]{0,60}/g
    const pushed = /issues?\.push\((?!\s*(?:warning\('|\{ severity|\.\.\.))[^)]{0,60}/g
    const strange = sources
      .filter(({ path }) => path.startsWith('targets/'))
      .flatMap(({ path, text }) =>
        [call, pushed].flatMap((pattern) => [...text.matchAll(pattern)].map(([site]) => `${path}: ${site}`)),
      )
    expect(strange).toEqual([])
  })

  it('says what to do, in a line', () => {
    for (const code of found) expect(hintFor(code)).toMatch(/^[A-Z][^\n]{20,200}[.]$/)
  })
})
