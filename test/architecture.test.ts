/** The rules that keep the code one-way: rooms import to the left only, no circles, one door per danger. */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { describe, expect, it } from 'vitest'

const src = join(import.meta.dirname, '../src')

/** Rooms, the ground first. A file may import from its own room and from those before it. */
const rooms = [
  'core',
  'egress',
  'store',
  'vault',
  'meter',
  'telemetry',
  'targets',
  'catalogue',
  'auth',
  'credentials',
  'transports',
  'call',
  'mcp',
  'registry',
  'config',
  'web',
  'gateway',
  'cli',
  'main',
]

interface Import {
  readonly module: string
  readonly typeOnly: boolean
}

interface Source {
  /** Path under `src`, such as `core/clock.ts`. */
  readonly path: string
  readonly text: string
  /** The text without comments. */
  readonly code: string
  readonly imports: readonly Import[]
}

/** Comments stand on lines of their own or after a space; a media range in a text is none. */
const withoutComments = (text: string): string =>
  text.replace(/^[ \t]*\/\*[\s\S]*?\*\//gm, '').replace(/(^|[ \t])\/\/ .*$/gm, '$1')

const statement = /^(?:import|export)\b(\s+type\b)?[^'"();=]*?\bfrom\s*'([^']+)'/gm
const bare = /^import\s*'([^']+)'/gm
const dynamic = /\bimport\(\s*'([^']+)'/g

const importsOf = (code: string): Import[] => [
  ...[...code.matchAll(statement)].map(([, type, module = '']) => ({ module, typeOnly: type !== undefined })),
  ...[...code.matchAll(bare), ...code.matchAll(dynamic)].map(([, module = '']) => ({ module, typeOnly: false })),
]

const sources: readonly Source[] = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts'))
  .toSorted()
  .map((path) => {
    const text = readFileSync(join(src, path), 'utf8')
    const code = withoutComments(text)
    return { path, text, code, imports: importsOf(code) }
  })

const roomOf = (path: string): string => path.replace(/\.ts$/, '').split('/', 1)[0] ?? ''

/** Files of ours that a file imports, whether for values or for types. */
const ownImports = ({ path, imports }: Source): string[] =>
  imports
    .filter(({ module }) => module.startsWith('.'))
    .map(({ module }) => relative(src, join(src, dirname(path), module)))

/** Groups of files that reach each other (Tarjan 1972), of more than one file. */
function circles(edges: ReadonlyMap<string, readonly string[]>): string[][] {
  const index = new Map<string, number>()
  const low = new Map<string, number>()
  const stack: string[] = []
  const found: string[][] = []
  const visit = (node: string): void => {
    index.set(node, index.size)
    low.set(node, index.get(node) ?? 0)
    stack.push(node)
    for (const next of edges.get(node) ?? []) {
      if (!index.has(next)) visit(next)
      if (stack.includes(next)) low.set(node, Math.min(low.get(node) ?? 0, low.get(next) ?? 0))
    }
    if (low.get(node) !== index.get(node)) return
    const group = stack.splice(stack.indexOf(node))
    if (group.length > 1 || (edges.get(node) ?? []).includes(node)) found.push(group.toSorted())
  }
  for (const node of edges.keys()) if (!index.has(node)) visit(node)
  return found
}

/** `file: what it must not`, for every file that a rule does not let. */
const offenders = (may: (path: string) => boolean, offence: (source: Source) => readonly string[]): string[] =>
  sources.filter(({ path }) => !may(path)).flatMap((source) => offence(source).map((what) => `${source.path}: ${what}`))

const modules =
  (names: RegExp, types: 'types too' | 'values only' = 'types too') =>
  ({ imports }: Source): string[] =>
    imports
      .filter(({ module, typeOnly }) => names.test(module) && !(typeOnly && types === 'values only'))
      .map(({ module }) => module)

const words =
  (pattern: RegExp) =>
  ({ code }: Source): string[] =>
    [...code.matchAll(pattern)].map(([found]) => found)

const nobody = (): boolean => false
const only =
  (...places: readonly string[]) =>
  (path: string): boolean =>
    places.some((place) => (place.endsWith('/') ? path.startsWith(place) : path === place))

const fsWriters =
  /\b(?:append|chmod|chown|copyFile|cp|create(?=WriteStream)|fchmod|fdatasync|fsync|ftruncate|futimes|lchown|link|lutimes|mkdir|mkdtemp|open|rename|rm|rmdir|symlink|truncate|unlink|utimes|write|writeFile|writev)(?:File|WriteStream)?(?:Sync)?\b/

/** Names that a file takes from `node:fs` and that change something on disk. Opening counts, unless it only reads. */
const fsNames = ({ code, path }: Source): string[] =>
  [...code.matchAll(/^import\s*(\{[^}]*\}|\*[^']*|\w+)\s*from\s*'node:fs(?:\/promises)?'/gm)]
    .flatMap(([, names = '']) => names.replace(/[{}]/g, '').split(','))
    .map((name) => name.trim())
    .filter((name) => name !== '' && (name.startsWith('*') || fsWriters.test(name)))
    .filter((name) => !(name === 'openSync' && path === 'meter/segments.ts'))

describe('the rooms of the source', () => {
  it('are known, each of them', () => {
    expect(sources.length).toBeGreaterThan(50)
    expect([...new Set(sources.map(({ path }) => roomOf(path)))].filter((room) => !rooms.includes(room))).toEqual([])
  })

  it('import from themselves and from rooms to the left only', () => {
    const wrong = sources.flatMap((source) =>
      ownImports(source)
        .filter((target) => rooms.indexOf(roomOf(target)) > rooms.indexOf(roomOf(source.path)))
        .map((target) => `${source.path} → ${target}`),
    )
    expect(wrong).toEqual([])
  })

  it('name files that exist, with their extension', () => {
    const known = new Set(sources.map(({ path }) => path))
    const wrong = sources.flatMap((source) =>
      ownImports(source)
        .filter((target) => !known.has(target))
        .map((target) => `${source.path} → ${target}`),
    )
    expect(wrong).toEqual([])
  })

  it('have no circles inside, types and dynamic imports counted', () => {
    expect(circles(new Map(sources.map((source) => [source.path, ownImports(source)])))).toEqual([])
  })

  it('hold files of at most 400 lines, each beginning with what it is for', () => {
    const wrong = sources.filter(({ text }) => text.split('\n').length > 401 || !text.startsWith('/**'))
    expect(wrong.map(({ path }) => path)).toEqual([])
  })
})

describe('one door per danger', () => {
  it.each<[danger: string, door: string, (path: string) => boolean, (source: Source) => readonly string[]]>([
    [
      'the network',
      'egress',
      only('egress/'),
      modules(/^(?:undici|node:(?:net|dns|tls|https?|http2|dgram)(?:\/.*)?)$/, 'values only'),
    ],
    [
      'the types of node:http',
      'egress, mcp and gateway',
      only('egress/', 'mcp/', 'gateway/listen.ts'),
      modules(/^node:https?$/),
    ],
    ['the global fetch', 'nobody', nobody, words(/\b(?:await|return|globalThis\.)\s*fetch\b|[=(?:] ?fetch\(/g)],
    [
      'a database',
      'store/sqlite*.ts',
      only('store/sqlite-file.ts', 'store/sqlite.ts', 'store/sqlite-usage.ts', 'store/sqlite-records.ts'),
      modules(/^(?:node:sqlite|pg|better-sqlite3)$/),
    ],
    [
      'writing files',
      'store and the spool',
      only('store/', 'meter/spool.ts', 'meter/segment-writer.ts', 'meter/segments.ts', 'meter/archive.ts'),
      fsNames,
    ],
    ['the environment', 'config/load.ts', only('config/load.ts'), words(/\bprocess\.env\b/g)],
    [
      'the clock',
      'core/clock.ts',
      only('core/clock.ts'),
      words(/\bDate\.now\b|\bnew Date\(\)|\bnew Date\b(?!\()|(?<!\.)\bDate\(\)|\bperformance\b|\bnode:timers\b/g),
    ],
    [
      'timers',
      'core/clock.ts, and the one that keeps a draining process alive',
      only('core/clock.ts', 'cli/serve.ts'),
      words(/\bset(?:Timeout|Interval)\b/g),
    ],
    [
      'the value of a secret',
      'credentials, vault, core/secret.ts, auth/sigv4.ts, mcp/seal.ts, where a new key is shown once, the façade’s tokens, and exports and webhooks',
      only(
        'credentials/',
        'vault/',
        'core/secret.ts',
        'auth/sigv4.ts',
        'mcp/seal.ts',
        'web/admin-keys.ts',
        'web/facade/grants.ts',
        'cli/key.ts',
        'cli/call.ts',
        'gateway/quotas.ts',
        'meter/export/http.ts',
      ),
      words(/\.reveal\b/g),
    ],
    [
      'hono',
      'mcp/endpoint.ts, web, gateway.ts, its listeners and pages',
      only('mcp/endpoint.ts', 'web/', 'gateway.ts', 'gateway/listen.ts', 'gateway/pages.ts'),
      modules(/^@?hono\b/),
    ],
    ['other programs', 'nobody', nobody, modules(/^(?:node:)?(?:child_process|cluster|vm|repl|inspector.*)$/)],
    ['code made of text', 'nobody', nobody, words(/\beval\b|\bnew Function\b|\bFunction\(/g)],
    ['types left unchecked', 'nobody', nobody, words(/\bas any\b|: any\b|<any>|\bany\[\]/g)],
    [
      'a checker told to look away',
      'nobody',
      nobody,
      ({ text }) => [...text.matchAll(/@ts-(?:ignore|nocheck|expect-error)/g)].map(([found]) => found),
    ],
  ])('%s: %s', (_danger, _door, may, offence) => {
    expect(offenders(may, offence)).toEqual([])
    // behind a door there is what it guards, or the rule looks for the wrong thing
    if (may !== nobody) expect(sources.filter(({ path }) => may(path)).flatMap(offence)).not.toEqual([])
  })

  it('holds one timer in cli/serve.ts and no more', () => {
    const serve = sources.find(({ path }) => path === 'cli/serve.ts')
    expect(serve?.code.match(/\bset(?:Timeout|Interval)\b/g)).toEqual(['setInterval'])
  })
})

describe('these rules themselves', () => {
  it.each([
    ["import { a } from './a.ts'", ['./a.ts'], false],
    ["import type { a } from './a.ts'", ['./a.ts'], true],
    ["import {\n  a,\n  type b,\n} from './a.ts'", ['./a.ts'], false],
    ["export * from './a.ts'", ['./a.ts'], false],
    ["export { a } from './a.ts'", ['./a.ts'], false],
    ["import './a.ts'", ['./a.ts'], false],
    ["const a = await import('./a.ts')", ['./a.ts'], false],
    ["import a, { b } from './a.ts'", ['./a.ts'], false],
  ])('see the import in %j', (code, modulesSeen, typeOnly) => {
    expect(importsOf(code)).toEqual(modulesSeen.map((module) => ({ module, typeOnly })))
  })

  it('see circles of two, of three and of one', () => {
    const edges = new Map([
      ['a', ['b']],
      ['b', ['a', 'c']],
      ['c', []],
      ['d', ['e']],
      ['e', ['f', 'c']],
      ['f', ['d']],
      ['g', ['g']],
    ])
    expect(circles(edges)).toEqual([['a', 'b'], ['d', 'e', 'f'], ['g']])
  })

  it('do not take a media range for a comment', () => {
    expect(withoutComments("/** a\n b */\nx('*/*') // c\ny('https://a/*')")).toBe("\nx('*/*') \ny('https://a/*')")
  })
})
